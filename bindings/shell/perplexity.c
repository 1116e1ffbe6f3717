/* quernel eval --perplexity and --kl-against: llama.cpp's protocol. */
#include "shell.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CONTEXT = 512 };

typedef struct job {
    const char *model_path, *reference_path; /* NULL: no reference */
    qn_model *model, *reference;
    qn_chunks chunks;
    int32_t *ids;
    double seconds;
    qn_divergence found; /* without a reference: of found.model only */
} job;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The context a model file states; 0: it does not say. */
static int context_of(const char *path)
{
    char *text = NULL;
    if (qn_inspect(path, 0, &text) != QN_OK) return 0;
    json_t *json = qn__take_json(text);
    double context = qn__get_number(json_object_get(json, "model"), "context");
    json_decref(json);
    return context >= 1 && context < 1 << 30 ? (int)context : 0;
}

/* With no larger a context than is needed: plans take memory for all of it. A model that learns its
 * positions is opened as it is. */
static int open_model(qn_device *device, const char *path, qn_model_options options,
                      qn_model **model)
{
    const int context = options.context;
    if (context == context_of(path)) options.context = 0;
    qn_status status = qn_model_open(device, path, &options, model);
    if (status == QN_BAD_ARGUMENT && options.context) {
        options.context = 0;
        status = qn_model_open(device, path, &options, model);
    }
    return status == QN_OK ? QN_GO_ON : qn__say_status(status);
}

static int choose_context(const qn_args *args, job *j)
{
    int64_t context = CONTEXT;
    const int most = context_of(j->model_path);
    int other = j->reference_path ? context_of(j->reference_path) : 0;
    if (most && most < context) context = most;
    if (other && other < context) context = other;
    int code = qn__arg_int(args, "context", 4, 1 << 24, &context);
    if (code != QN_GO_ON) return code;
    j->chunks.context = (int32_t)context;
    return QN_GO_ON;
}

static int encode(const qn_args *args, const qn_tokenizer *tokenizer, job *j)
{
    char *text = NULL;
    size_t bytes = 0;
    int code = qn__read_file(qn__arg(args, "text"), &text, &bytes);
    if (code != QN_GO_ON) return code;
    j->chunks.bos = qn_tokenizer_wants_bos(tokenizer);
    qn_status status = qn_tokenizer_encode(
        tokenizer, text, bytes, j->chunks.bos ? QN_ENCODE_BOS : 0u, &j->ids, &j->chunks.count);
    free(text);
    j->chunks.tokens = j->ids;
    return status == QN_OK ? QN_GO_ON : qn__say_status(status);
}

static bool show(void *user, int64_t done, int64_t total)
{
    const double *begin = user, spent = now() - *begin;
    qn__progress("chunk %lld of %lld, %s left", (long long)done, (long long)total,
                 qn__text_seconds(spent * (double)(total - done) / (double)done));
    return !qn__stop_asked();
}

static int measure(job *j)
{
    double begin = now();
    qn_status status;
    j->found.size = sizeof j->found;
    j->found.model.size = sizeof j->found.model;
    qn__signals_catch();
    status = j->reference
                 ? qn_model_divergence(j->model, j->reference, &j->chunks, show, &begin, &j->found)
                 : qn_model_perplexity(j->model, &j->chunks, show, &begin, &j->found.model);
    qn__progress_end(false);
    j->seconds = now() - begin;
    return status == QN_OK ? QN_GO_ON : qn__say_status(status);
}

/* exp of a mean: its error is the mean's, times itself. */
static double spread(const qn_perplexity *p)
{
    return p->perplexity * p->nll_error;
}

static void add_divergence(json_t *json, const job *j)
{
    const qn_divergence *d = &j->found;
    const struct {
        const char *key;
        double value;
    } rows[] = {{"reference_perplexity", d->reference.perplexity},
                {"perplexity_ratio", exp(d->model.nll - d->reference.nll)},
                {"kl_mean", d->mean},
                {"kl_mean_error", d->mean_error},
                {"kl_median", d->median},
                {"kl_99", d->percent_99},
                {"kl_99.9", d->percent_999},
                {"kl_max", d->most},
                {"same_top", d->top}};
    json_object_set_new(json, "reference", json_string(j->reference_path));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        json_object_set_new(json, rows[i].key, qn__json_number(rows[i].value));
}

static int print_json(const job *j, const char *device)
{
    const qn_perplexity *p = &j->found.model;
    json_t *json = json_pack(
        "{s:o,s:o,s:o,s:o,s:I,s:I,s:I,s:i,s:b,s:f,s:s,s:s}", "perplexity",
        qn__json_number(p->perplexity), "perplexity_error", qn__json_number(spread(p)), "loss",
        qn__json_number(p->nll), "loss_error", qn__json_number(p->nll_error), "tokens",
        (json_int_t)j->chunks.count, "predicted", (json_int_t)p->predicted, "chunks",
        (json_int_t)p->chunks, "context", (int)j->chunks.context, "bos", (int)j->chunks.bos,
        "seconds", j->seconds, "model", j->model_path, "device", device);
    if (j->reference) add_divergence(json, j);
    return qn__print_json(json);
}

static int print_text(const job *j)
{
    const qn_divergence *d = &j->found;
    printf("perplexity     %.4f +/- %.4f\n", d->model.perplexity, spread(&d->model));
    if (j->reference) {
        printf("reference      %.4f +/- %.4f, ratio %.5f\n", d->reference.perplexity,
               spread(&d->reference), exp(d->model.nll - d->reference.nll));
        printf("KL, mean       %.6f +/- %.6f nats\n", d->mean, d->mean_error);
        printf("KL, median     %.6f\nKL, 99 %%       %.6f\nKL, 99.9 %%     %.6f\nKL, most       "
               "%.6f\n",
               d->median, d->percent_99, d->percent_999, d->most);
        printf("same top token %.3f %%\n", 100 * d->top);
    }
    printf("tokens         %s scored, %s chunks of %d%s, %s\n",
           qn__text_count((double)d->model.predicted), qn__text_count((double)d->model.chunks),
           (int)j->chunks.context, j->chunks.bos ? " with BOS" : "", qn__text_seconds(j->seconds));
    return QN_EXIT_OK;
}

int qn__perplexity(const qn_args *args, const qn_tokenizer *tokenizer, qn_device *device)
{
    job j = {.model_path = qn__arg(args, "model"), .reference_path = qn__arg(args, "kl-against")};
    j.chunks.size = sizeof j.chunks;
    int code = choose_context(args, &j);
    if (code == QN_GO_ON) code = encode(args, tokenizer, &j);
    const qn_model_options plain = {.size = sizeof plain, .context = j.chunks.context};
    qn_model_options options = plain;
    options.adapter = qn__arg(args, "adapter");
    options.cache_type = qn__arg(args, "cache-type");
    if (code == QN_GO_ON) code = open_model(device, j.model_path, options, &j.model);
    if (code == QN_GO_ON) code = qn__check_vocab(tokenizer, j.model);
    if (code == QN_GO_ON && j.reference_path)
        code = open_model(device, j.reference_path, plain, &j.reference);
    if (code == QN_GO_ON) code = measure(&j);
    if (code == QN_GO_ON)
        code = qn__arg(args, "json") ? print_json(&j, qn_device_name(device)) : print_text(&j);
    qn_model_destroy(&j.reference);
    qn_model_destroy(&j.model);
    free(j.ids);
    return code;
}
