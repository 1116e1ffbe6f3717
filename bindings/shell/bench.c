/* quernel bench: the device, an op, a matrix product, a training step, decoding. */
#include "shell.h"

#include <stdlib.h>
#include <string.h>

int qn__bench(const qn_command *self, int argc, char **argv);

#define FLAG_VARIANT                                                                               \
    {                                                                                              \
        "variant", "V",                                                                            \
            "force this kernel family: plain, wide, tile, clblast, or one of its settings: "       \
            "wide/deep (default: the engine's choice)"                                             \
    }
#define FLAG_REPEATS                                                                               \
    {                                                                                              \
        "repeats", "N", "how often (default: until the figures settle)"                            \
    }
#define FLAGS_MODEL                                                                                \
    {"arch", "A", "gpt2 or llama (default: gpt2)"},                                                \
        {"size", "S", "a named size, such as 124M (default: a small model)"},                      \
        {"layers", "L", "instead of the named size's"},                                            \
        {"heads", "H", "instead of the named size's"},                                             \
        {"kv-heads", "K", "instead of the named size's"},                                          \
        {"embed", "D", "instead of the named size's"},                                             \
        {"ffn", "F", "instead of the named size's"},                                               \
    {                                                                                              \
        "vocab", "V", "instead of the named size's"                                                \
    }

static const qn_flag peak_flags[] = {QN_FLAG_DEVICE, QN_FLAG_JSON, {0}};
static const qn_flag op_flags[] = {
    {"case", "LINE",
     "the op, its attributes, and its tensors; \"(backward)\" at the end: its backward pass"},
    FLAG_VARIANT,
    FLAG_REPEATS,
    QN_FLAG_DEVICE,
    QN_FLAG_JSON,
    {0},
};
static const qn_flag gemm_flags[] = {
    {"m", "M", "rows of the result (default: 1536)"},
    {"n", "N", "columns of the result (default: 1536)"},
    {"k", "K", "length of each sum (default: 768)"},
    {"dtype", "T", "f32, f16 or bf16 (default: f32)"},
    {"trans-a", NULL, "the first matrix is stored as K x M"},
    {"trans-b", NULL, "the second matrix is stored as N x K, as weights are"},
    FLAG_VARIANT,
    FLAG_REPEATS,
    QN_FLAG_DEVICE,
    QN_FLAG_JSON,
    {0},
};
static const qn_flag train_flags[] = {
    FLAGS_MODEL,
    {"batch", "B", "sequences a step (default: 4)"},
    {"context", "T", "tokens a sequence (default: 64)"},
    {"precision", "P", "f32, bf16 or f16 (default: f32)"},
    {"micro-batches", "N",
     "so many batches a step; says what adding their gradients costs (default: 1)"},
    {"sum-order", "S", "how their gradients are added: tree or chain (default: tree)"},
    {"profile", NULL, "time every kernel (slower), and show where the time went"},
    FLAG_VARIANT,
    FLAG_REPEATS,
    QN_FLAG_DEVICE,
    QN_FLAG_JSON,
    {0},
};
static const qn_flag decode_flags[] = {
    FLAGS_MODEL,
    {"model", "PATH", "a trained model instead of random weights"},
    {"context", "N", "tokens a sequence (default: the model's, at most 4096)"},
    {"type", "T", "quantize what is in floats first: q8_0, q4_0, q4_K ... (default: as it is)"},
    QN_FLAG_CACHE,
    {"batch", "B", "sequences at once; tokens_per_s is of all of them (default: 1)"},
    {"prompt-tokens", "N", "length of the prompt (default: 32; prefill: 512)"},
    {"tokens", "N", "how many to make after it (default: 64)"},
    {"profile", NULL, "time every kernel (slower), and show where the time went"},
    FLAG_VARIANT,
    FLAG_REPEATS,
    QN_FLAG_DEVICE,
    QN_FLAG_JSON,
    {0},
};

/* Figures for people, in the order of the object; a profile as its table. */
static int print_report(json_t *report, bool json)
{
    const char *key;
    json_t *value;
    if (!report) return 70;
    if (json) return qn__print_json(report);
    json_object_foreach(report, key, value)
    {
        if (json_is_string(value)) printf("%-22s %s\n", key, json_string_value(value));
        else if (json_is_number(value) && strstr(key, "_bytes"))
            printf("%-22s %s\n", key, qn__text_bytes(json_number_value(value)));
        else if (json_is_integer(value))
            printf("%-22s %s\n", key, qn__text_count(json_number_value(value)));
        else if (json_is_real(value)) printf("%-22s %.4g\n", key, json_real_value(value));
    }
    if (json_is_array(json_object_get(report, "profile")))
        qn__print_profile(stdout, json_object_get(report, "profile"));
    json_decref(report);
    return QN_EXIT_OK;
}

static int report_text(const qn_args *args, qn_status status, char *text)
{
    if (status != QN_OK) return qn__say_status(status);
    return print_report(qn__take_json(text), qn__arg(args, "json"));
}

static int bench_options(const qn_args *args, qn_bench_options *options)
{
    int64_t repeats = 0;
    int code = qn__arg_int(args, "repeats", 0, 1 << 24, &repeats);
    *options = (qn_bench_options){
        .size = sizeof *options, .variant = qn__arg(args, "variant"), .repeats = (int)repeats};
    return code;
}

static int bench_peak(const qn_args *args)
{
    qn_device *device = NULL;
    qn_peaks peaks;
    int code = qn__open_device(qn__arg(args, "device"), false, &device);
    if (code != QN_GO_ON) return code;
    qn_status status = qn_device_measure(device, &peaks);
    if (status != QN_OK) code = qn__say_status(status);
    else
        code = print_report(json_pack("{s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:s}", "gflops", peaks.gflops,
                                      "host_gflops", peaks.host_gflops, "matrix_gflops",
                                      peaks.matrix_gflops, "host_matrix_gflops",
                                      peaks.host_matrix_gflops, "int8_gops", peaks.int8_gops,
                                      "host_int8_gops", peaks.host_int8_gops, "gbytes_per_s",
                                      peaks.gbytes_per_s, "device", qn_device_name(device)),
                            qn__arg(args, "json"));
    qn_device_close(&device);
    return code;
}

static int bench_line(const qn_args *args, const char *line)
{
    qn_device *device = NULL;
    qn_bench_options options;
    char *text = NULL;
    int code = bench_options(args, &options);
    if (code == QN_GO_ON) code = qn__open_device(qn__arg(args, "device"), false, &device);
    if (code != QN_GO_ON) return code;
    qn_status status = qn_bench_op(device, line, &options, &text);
    code = report_text(args, status, text);
    qn_device_close(&device);
    return code;
}

static int bench_op(const qn_args *args)
{
    const char *line;
    int code = qn__arg_need(args, "case", &line);
    return code == QN_GO_ON ? bench_line(args, line) : code;
}

static int bench_gemm(const qn_args *args)
{
    int64_t m = 1536, n = 1536, k = 768;
    char line[256];
    const char *dtype = qn__arg(args, "dtype") ? qn__arg(args, "dtype") : "f32";
    bool a = qn__arg(args, "trans-a") != NULL, b = qn__arg(args, "trans-b") != NULL;
    int code = qn__arg_int(args, "m", 1, 1 << 24, &m);
    if (code == QN_GO_ON) code = qn__arg_int(args, "n", 1, 1 << 24, &n);
    if (code == QN_GO_ON) code = qn__arg_int(args, "k", 1, 1 << 24, &k);
    if (code != QN_GO_ON) return code;
    snprintf(line, sizeof line, "matmul%s%s : a=%.16s[%lld,%lld] b=%.16s[%lld,%lld]",
             a ? " trans_a=1" : "", b ? " trans_b=1" : "", dtype, (long long)(a ? k : m),
             (long long)(a ? m : k), dtype, (long long)(b ? n : k), (long long)(b ? k : n));
    return bench_line(args, line);
}

static int read_config(const qn_args *args, qn_model_config *config)
{
    const char *arch_name = qn__arg(args, "arch");
    const struct {
        const char *flag;
        int32_t *field;
    } fields[] = {{"layers", &config->layers},     {"heads", &config->heads},
                  {"kv-heads", &config->kv_heads}, {"embed", &config->embed},
                  {"ffn", &config->ffn},           {"vocab", &config->vocab}};
    qn_arch arch;
    qn_status status = qn_arch_find(arch_name ? arch_name : "gpt2", &arch);
    if (status == QN_OK) status = qn_model_config_named(arch, qn__arg(args, "size"), config);
    if (status != QN_OK) return qn__say_status(status);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        int64_t value = *fields[i].field;
        int code = qn__arg_int(args, fields[i].flag, 1, INT32_MAX, &value);
        if (code != QN_GO_ON) return code;
        *fields[i].field = (int32_t)value;
    }
    if (qn__arg(args, "heads") && !qn__arg(args, "kv-heads")) config->kv_heads = config->heads;
    return QN_GO_ON;
}

static int bench_train(const qn_args *args)
{
    qn_model_config config;
    qn_bench_options options;
    qn_device *device = NULL;
    int64_t batch = 4, context = 64, leaves = 1;
    const char *order = qn__arg(args, "sum-order") ? qn__arg(args, "sum-order") : "tree";
    char *text = NULL;
    int code = read_config(args, &config);
    if (code == QN_GO_ON) code = bench_options(args, &options);
    options.precision = qn__arg(args, "precision");
    options.chain = strcmp(order, "chain") == 0;
    if (code == QN_GO_ON && !options.chain && strcmp(order, "tree") != 0)
        code = qn__say_error(QN_EXIT_USAGE, "bench train: --sum-order is tree or chain, not \"%s\"",
                             order);
    if (code == QN_GO_ON) code = qn__arg_int(args, "micro-batches", 1, 4096, &leaves);
    options.micro_batches = (int)leaves;
    if (code == QN_GO_ON) code = qn__arg_int(args, "batch", 1, 1 << 20, &batch);
    if (code == QN_GO_ON) code = qn__arg_int(args, "context", 1, 1 << 24, &context);
    if (code == QN_GO_ON)
        code = qn__open_device(qn__arg(args, "device"), qn__arg(args, "profile"), &device);
    if (code != QN_GO_ON) return code;
    qn_status status = qn_bench_train(device, &config, (int)batch, (int)context, &options, &text);
    code = report_text(args, status, text);
    qn_device_close(&device);
    return code;
}

static int bench_model(const qn_args *args, int64_t prompt_tokens, int64_t tokens)
{
    qn_model_config config;
    qn_bench_options options;
    qn_device *device = NULL;
    char *text = NULL;
    int code = read_config(args, &config);
    if (code == QN_GO_ON) code = bench_options(args, &options);
    options.type = qn__arg(args, "type");
    options.cache_type = qn__arg(args, "cache-type");
    int64_t most = 0, batch = 1;
    if (code == QN_GO_ON) code = qn__arg_int(args, "batch", 1, 4096, &batch);
    options.batch = (int)batch;
    if (code == QN_GO_ON) code = qn__arg_int(args, "context", 1, 1 << 24, &most);
    options.context = (int32_t)most;
    if (code == QN_GO_ON) code = qn__arg_int(args, "prompt-tokens", 1, 1 << 24, &prompt_tokens);
    if (code == QN_GO_ON && tokens > 0) code = qn__arg_int(args, "tokens", 1, 1 << 24, &tokens);
    if (code == QN_GO_ON)
        code = qn__open_device(qn__arg(args, "device"), qn__arg(args, "profile"), &device);
    if (code != QN_GO_ON) return code;
    qn_status status = qn_bench_decode(device, &config, qn__arg(args, "model"), (int)prompt_tokens,
                                       (int)tokens, &options, &text);
    code = report_text(args, status, text);
    qn_device_close(&device);
    return code;
}

static int bench_decode(const qn_args *args)
{
    return bench_model(args, 32, 64);
}

static int bench_prefill(const qn_args *args)
{
    return bench_model(args, 512, 0);
}

static const struct bench {
    const char *kind, *summary;
    const qn_flag *flags;
    int (*run)(const qn_args *args);
} benches[] = {
    {"peak", "f32 arithmetic and memory reading: what the others are measured against", peak_flags,
     bench_peak},
    {"op", "one op", op_flags, bench_op},
    {"gemm", "one matrix product", gemm_flags, bench_gemm},
    {"train", "a training step on random tokens", train_flags, bench_train},
    {"decode", "token by token after a prompt", decode_flags, bench_decode},
    {"prefill", "the prompt alone, --prompt-tokens 512", decode_flags, bench_prefill},
};

enum { BENCHES = sizeof benches / sizeof benches[0] };

int qn__bench(const qn_command *self, int argc, char **argv)
{
    static const qn_flag no_flags[] = {{0}};
    const char *kinds[BENCHES + 1] = {0};
    qn_args args;
    if (argc < 2 || argv[1][0] == '-') {
        int code = qn__args_parse(&args, self, no_flags, 0, argc, argv);
        if (code == QN_EXIT_OK) {
            printf("\nbenches, each with its own --help:\n");
            for (int i = 0; i < BENCHES; i++)
                printf("  %-8s %s\n", benches[i].kind, benches[i].summary);
        }
        if (code != QN_GO_ON) return code;
        return qn__say_error(QN_EXIT_USAGE, "bench: measure what? usage: quernel bench %s",
                             self->usage);
    }
    for (int i = 0; i < BENCHES; i++) {
        kinds[i] = benches[i].kind;
        if (strcmp(argv[1], benches[i].kind) != 0) continue;
        char name[32], usage[48];
        snprintf(name, sizeof name, "bench %s", benches[i].kind);
        snprintf(usage, sizeof usage, "[flags]");
        qn_command one = {name, benches[i].summary, usage, self->example, NULL};
        int code = qn__args_parse(&args, &one, benches[i].flags, 0, argc - 1, argv + 1);
        return code == QN_GO_ON ? benches[i].run(&args) : code;
    }
    const char *near = qn__nearest(argv[1], kinds);
    return qn__say_error(
        QN_EXIT_USAGE,
        "bench: there is no \"%s\"; there are peak, op, gemm, train, decode and prefill%s%s",
        argv[1], near ? "; did you mean " : "", near ? near : "");
}
