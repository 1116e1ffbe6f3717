#include <quernel/evaluate.h>

#include "base/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Means with their standard errors, summed in the order of the text. */
typedef struct mean {
    double sum, squares;
    int64_t count;
} mean;

static void mean_add(mean *to, double value)
{
    to->sum += value;
    to->squares += value * value;
    to->count++;
}

static double mean_of(const mean *of)
{
    return of->count ? of->sum / (double)of->count : 0;
}

static double error_of(const mean *of)
{
    const double n = (double)of->count, average = mean_of(of);
    const double variance = of->count > 1 ? of->squares / n - average * average : 0;
    return variance > 0 ? sqrt(variance / (n - 1)) : 0;
}

static void finish(const mean *nll, int64_t chunks, qn_perplexity *result)
{
    *result = (qn_perplexity){.size = sizeof *result, .chunks = chunks, .predicted = nll->count};
    result->nll = mean_of(nll);
    result->nll_error = error_of(nll);
    result->perplexity = exp(result->nll);
}

/* log p = logit - this. */
static double log_sum(const float *logits, int vocab, int *likeliest)
{
    int top = 0;
    double sum = 0;
    for (int v = 1; v < vocab; v++)
        if (logits[v] > logits[top]) top = v;
    for (int v = 0; v < vocab; v++) sum += exp((double)logits[v] - (double)logits[top]);
    *likeliest = top;
    return (double)logits[top] + log(sum);
}

/* ---- one pass over the chunks, with one model or two ---- */

typedef struct pass {
    const qn_chunks *chunks;
    qn_model *models[2];
    int count, vocab;
    int32_t *ids;     /* [context] */
    float *logits[2]; /* [context, vocab] */
    mean nll[2], kl;
    double *each; /* KL of each place */
    int64_t same;
} pass;

static int64_t chunk_count(const qn_chunks *chunks)
{
    return (int64_t)(chunks->count / (size_t)chunks->context);
}

static void score(pass *p, int at, int32_t token)
{
    const float *logits[2];
    double sums[2];
    int top[2];
    for (int m = 0; m < p->count; m++) {
        logits[m] = p->logits[m] + (size_t)at * (size_t)p->vocab;
        sums[m] = log_sum(logits[m], p->vocab, &top[m]);
        mean_add(&p->nll[m], sums[m] - (double)logits[m][token]);
    }
    if (p->count < 2) return;
    double kl = 0;
    for (int v = 0; v < p->vocab; v++) {
        const double log_p = (double)logits[1][v] - sums[1];
        kl += exp(log_p) * (log_p - ((double)logits[0][v] - sums[0]));
    }
    p->each[p->kl.count] = kl;
    mean_add(&p->kl, kl);
    p->same += top[0] == top[1];
}

static qn_status run_chunk(pass *p, int64_t chunk)
{
    const int context = p->chunks->context;
    const int32_t *tokens = p->chunks->tokens + chunk * context;
    memcpy(p->ids, tokens, (size_t)context * sizeof *p->ids);
    if (p->chunks->bos) p->ids[0] = p->chunks->tokens[0];
    for (int m = 0; m < p->count; m++)
        QN_TRY(qn_model_logits(p->models[m], p->ids, (size_t)context, p->logits[m]));
    for (int at = context / 2; at + 1 < context; at++) score(p, at, tokens[at + 1]);
    return QN_OK;
}

static qn_status run_all(pass *p, qn_progress_fn progress, void *user)
{
    const int64_t chunks = chunk_count(p->chunks);
    const size_t context = (size_t)p->chunks->context, vocab = (size_t)p->vocab;
    p->ids = malloc(context * sizeof *p->ids);
    p->each = malloc((size_t)chunks * context * sizeof *p->each);
    bool there = p->ids && p->each;
    for (int m = 0; m < p->count; m++) {
        p->logits[m] = malloc(context * vocab * sizeof *p->logits[m]);
        there = there && p->logits[m];
    }
    if (!there) return qn__fail(QN_OS_ERROR, "no memory for the logits of %zu tokens", context);
    for (int64_t i = 0; i < chunks; i++) {
        QN_TRY(run_chunk(p, i));
        if (progress && !progress(user, i + 1, chunks))
            return qn__fail(QN_INTERRUPTED, "evaluation stopped");
    }
    return QN_OK;
}

static qn_status check(const qn_chunks *chunks, qn_model *const *models, int count)
{
    QN_CHECK(chunks->size == sizeof *chunks, "qn_chunks.size is %u, this library's is %zu",
             chunks->size, sizeof *chunks);
    QN_CHECK(chunks->context >= 4, "context: %d; chunks have at least 4 tokens", chunks->context);
    for (int m = 0; m < count; m++) {
        const qn_model_config *config = qn_model_get_config(models[m]);
        QN_CHECK(chunks->context <= config->context, "context: %d; the model's is %d",
                 chunks->context, config->context);
        QN_CHECK(config->vocab == qn_model_get_config(models[0])->vocab,
                 "the model has %d tokens in its vocabulary, the reference %d: their probabilities "
                 "cannot be compared",
                 qn_model_get_config(models[0])->vocab, config->vocab);
    }
    QN_CHECK(chunk_count(chunks) >= 1,
             "the text has %zu tokens, and a chunk has %d: give a longer text or a shorter context",
             chunks->count, chunks->context);
    return QN_OK;
}

static qn_status run(pass *p, qn_progress_fn progress, void *user)
{
    QN_TRY(check(p->chunks, p->models, p->count));
    p->vocab = qn_model_get_config(p->models[0])->vocab;
    return run_all(p, progress, user);
}

static void release(pass *p)
{
    free(p->ids);
    free(p->each);
    for (int m = 0; m < 2; m++) free(p->logits[m]);
}

qn_status qn_model_perplexity(qn_model *model, const qn_chunks *chunks, qn_progress_fn progress,
                              void *user, qn_perplexity *result)
{
    QN_CHECK(result->size == sizeof *result, "qn_perplexity.size is %u, this library's is %zu",
             result->size, sizeof *result);
    pass p = {.chunks = chunks, .models = {model}, .count = 1};
    qn_status status = run(&p, progress, user);
    if (status == QN_OK) finish(&p.nll[0], chunk_count(chunks), result);
    release(&p);
    return status;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Between neighbours, as numpy's percentile. */
static double quantile(const double *sorted, int64_t count, double part)
{
    const double at = part * (double)(count - 1);
    const int64_t low = (int64_t)at, high = low + 1 < count ? low + 1 : low;
    return sorted[low] + (at - (double)low) * (sorted[high] - sorted[low]);
}

qn_status qn_model_divergence(qn_model *model, qn_model *reference, const qn_chunks *chunks,
                              qn_progress_fn progress, void *user, qn_divergence *result)
{
    QN_CHECK(result->size == sizeof *result, "qn_divergence.size is %u, this library's is %zu",
             result->size, sizeof *result);
    pass p = {.chunks = chunks, .models = {model, reference}, .count = 2};
    qn_status status = run(&p, progress, user);
    if (status == QN_OK) {
        const int64_t n = p.kl.count;
        qsort(p.each, (size_t)n, sizeof *p.each, by_value);
        *result = (qn_divergence){.size = sizeof *result,
                                  .mean = mean_of(&p.kl),
                                  .mean_error = error_of(&p.kl),
                                  .median = quantile(p.each, n, 0.5),
                                  .percent_99 = quantile(p.each, n, 0.99),
                                  .percent_999 = quantile(p.each, n, 0.999),
                                  .most = p.each[n - 1],
                                  .top = (double)p.same / (double)n};
        finish(&p.nll[0], chunk_count(chunks), &result->model);
        finish(&p.nll[1], chunk_count(chunks), &result->reference);
    }
    release(&p);
    return status;
}
