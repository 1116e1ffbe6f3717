/* quernel quantize: a model as a GGUF file in fewer bits. */
#include "shell.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

int qn__quantize(const qn_command *self, int argc, char **argv);

static const qn_flag flags[] = {
    {"type", "TYPE", "of the file, as llama.cpp names them; --list shows all (default: Q4_K_M)"},
    {"list", NULL, "the types and about how many bits a weight takes in each"},
    {"imatrix", "FILE",
     "an importance matrix of llama.cpp's: errors in the columns that matter weigh more"},
    {"pure", NULL, "every matrix in the type itself, none in a better one"},
    {"threads", "N", "threads (default: one a core)"},
    {"adapter", "DIR", "LoRA adapters in PEFT's layout, folded in"},
    {"tokenizer", "PATH", "give the model this tokenizer (default: IN's own); none: leave it out"},
    {"shard-size", "BYTES", "at most so many bytes of tensors in a file, as 4G or 500M"},
    {"quiet", NULL, "no progress line"},
    QN_FLAG_JSON,
    {0},
};

typedef struct watch {
    struct timespec begin;
    bool quiet;
} watch;

static double seconds_since(const struct timespec *begin)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begin->tv_sec) + 1e-9 * (double)(now.tv_nsec - begin->tv_nsec);
}

static bool show(void *user, int64_t done, int64_t total)
{
    const watch *watched = user;
    const double part = total > 0 ? (double)done / (double)total : 1;
    const double spent = seconds_since(&watched->begin);
    if (!watched->quiet && part > 0)
        qn__progress("quantizing  %.0f %%, %s left", 100.0 * part,
                     qn__text_seconds(spent * (1 - part) / part));
    return !qn__stop_asked();
}

static int list_types(bool json)
{
    json_t *all = json_array();
    for (int i = 0; qn_quantize_type(i); i++) {
        const char *name = qn_quantize_type(i), *help = qn_quantize_type_help(i);
        if (json) json_array_append_new(all, json_pack("{s:s,s:s}", "type", name, "help", help));
        else printf("  %-10s %s\n", name, help);
    }
    if (json) return qn__print_json(json_pack("{s:o}", "types", all));
    json_decref(all);
    return QN_EXIT_OK;
}

static json_t *row_json(const char *name, const qn_quantize_row *row)
{
    return json_pack("{s:s,s:I,s:I,s:I,s:o}", "type", name, "tensors", (json_int_t)row->tensors,
                     "elements", (json_int_t)row->elements, "bytes", (json_int_t)row->bytes, "nmse",
                     row->error > 0 ? qn__json_number(row->error) : json_null());
}

static int print_json(const qn_quantize_report *report, const char *type, const char *out,
                      double seconds)
{
    json_t *types = json_array();
    for (int t = 0; t < QN_DTYPE_COUNT; t++)
        if (report->types[t].tensors)
            json_array_append_new(types, row_json(qn_dtype_name((qn_dtype)t), &report->types[t]));
    const qn_quantize_row *all = &report->total;
    return qn__print_json(
        json_pack("{s:s,s:s,s:I,s:I,s:f,s:o,s:I,s:I,s:f,s:o}", "file", out, "type", type,
                  "elements", (json_int_t)all->elements, "bytes", (json_int_t)all->bytes,
                  "bits_per_weight", report->bits_per_weight, "nmse", qn__json_number(all->error),
                  "fallbacks", (json_int_t)report->fallbacks, "weighed",
                  (json_int_t)report->weighed, "seconds", seconds, "types", types));
}

static void print_row(const char *name, const qn_quantize_row *row)
{
    char error[32] = "";
    if (row->error > 0) snprintf(error, sizeof error, "%.3e", row->error);
    printf("%-8s %7s tensors  %14s weights  %10s  %s\n", name, qn__text_count((double)row->tensors),
           qn__text_count((double)row->elements), qn__text_bytes((double)row->bytes), error);
}

static int print_report(const qn_quantize_report *report, const char *out, double seconds)
{
    printf("%-8s %15s  %22s  %10s  %s\n", "type", "", "", "", "relative squared error");
    for (int t = 0; t < QN_DTYPE_COUNT; t++)
        if (report->types[t].tensors) print_row(qn_dtype_name((qn_dtype)t), &report->types[t]);
    print_row("all", &report->total);
    printf("%s: %.2f bits a weight, in %s\n", qn__text_quoted(out), report->bits_per_weight,
           qn__text_seconds(seconds));
    if (report->raw)
        printf("%lld tensors of types that are not read, copied\n", (long long)report->raw);
    if (report->fallbacks)
        printf("%lld tensors have rows that are no whole blocks of their type; the next larger "
               "type with blocks of 32 took its place\n",
               (long long)report->fallbacks);
    return QN_EXIT_OK;
}

static int run(const qn_args *args, qn_quantize_options *options)
{
    const char *in = args->operand[0], *out = args->operand[1];
    qn_quantize_report report = {.size = sizeof report};
    watch watched = {.quiet = qn__arg(args, "quiet")};
    clock_gettime(CLOCK_MONOTONIC, &watched.begin);
    qn__signals_catch();
    qn_status status = qn_model_quantize(in, out, options, show, &watched, &report);
    qn__progress_end(false);
    if (status != QN_OK) return qn__say_status(status);
    const double seconds = seconds_since(&watched.begin);
    if (qn__arg(args, "json")) return print_json(&report, options->type, out, seconds);
    return print_report(&report, out, seconds);
}

int qn__quantize(const qn_command *self, int argc, char **argv)
{
    qn_args args;
    int64_t threads = 0;
    uint64_t shard_bytes;
    int code = qn__args_parse(&args, self, flags, 2, argc, argv);
    if (code == QN_GO_ON) code = qn__arg_int(&args, "threads", 1, 256, &threads);
    if (code == QN_GO_ON) code = qn__arg_bytes(&args, "shard-size", &shard_bytes);
    if (code != QN_GO_ON) return code;
    if (qn__arg(&args, "list")) return list_types(qn__arg(&args, "json"));
    if (args.operands != 2)
        return qn__say_error(QN_EXIT_USAGE,
                             "quantize: give IN and OUT: the model, and the GGUF file to make");
    const char *type = qn__arg(&args, "type");
    qn_quantize_options options = {.size = sizeof options,
                                   .type = type ? type : "Q4_K_M",
                                   .importance = qn__arg(&args, "imatrix"),
                                   .adapter = qn__arg(&args, "adapter"),
                                   .tokenizer = qn__arg(&args, "tokenizer"),
                                   .shard_bytes = shard_bytes,
                                   .threads = (int32_t)threads,
                                   .pure = qn__arg(&args, "pure")};
    return run(&args, &options);
}
