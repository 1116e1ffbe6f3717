#include "model/sampler.h"

#include "base/check.h"

#include <math.h>
#include <stdlib.h>

qn_status qn__sampler_init(qn_sampler *sampler, const qn_sampler_options *options, int32_t vocab)
{
    static const qn_sampler_options greedy = {.size = sizeof greedy, .top_p = 1.0f};
    const qn_sampler_options *o = options ? options : &greedy;
    QN_CHECK(o->size == sizeof *o, "qn_sampler_options.size is %u, this library's is %zu", o->size,
             sizeof *o);
    QN_CHECK(o->temperature >= 0 && o->temperature <= 100, "temperature %g is outside [0, 100]",
             (double)o->temperature);
    QN_CHECK(o->top_k >= 0, "top_k %d is negative", o->top_k);
    QN_CHECK(o->top_p > 0 && o->top_p <= 1, "top_p %g is outside (0, 1]", (double)o->top_p);
    *sampler = (qn_sampler){
        .options = *o, .vocab = vocab, .rng = {.seed = o->seed, .stream = 0x73616D70u}};
    sampler->candidates = malloc((size_t)vocab * sizeof *sampler->candidates);
    return sampler->candidates ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
}

void qn__sampler_free(qn_sampler *sampler)
{
    free(sampler->candidates);
    sampler->candidates = NULL;
}

static int by_logit(const void *a, const void *b)
{
    const qn_candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit < y->logit ? 1 : -1;
    return x->id - y->id;
}

qn_status qn__sampler_choose(qn_sampler *sampler, const float *logits, int32_t *token)
{
    const qn_sampler_options *o = &sampler->options;
    int32_t best = 0, count = sampler->vocab;
    for (int32_t i = 0; i < count; i++) {
        if (isnan(logits[i]))
            return qn__fail(QN_NON_FINITE, "the model's logit of token %d is not a number", i);
        if (logits[i] > logits[best]) best = i;
    }
    *token = best;
    if (o->temperature == 0) return QN_OK;
    qn_candidate *list = sampler->candidates;
    for (int32_t i = 0; i < count; i++) list[i] = (qn_candidate){logits[i], i};
    if (o->top_k > 0 || o->top_p < 1) qsort(list, (size_t)count, sizeof *list, by_logit);
    if (o->top_k > 0 && o->top_k < count) count = o->top_k;
    double top = (double)logits[best], total = 0;
    for (int32_t i = 0; i < count; i++)
        total += exp(((double)list[i].logit - top) / (double)o->temperature);
    if (o->top_p < 1) {
        double sum = 0, limit = (double)o->top_p * total;
        int32_t kept = 0;
        while (kept < count && sum < limit)
            sum += exp(((double)list[kept++].logit - top) / (double)o->temperature);
        count = kept;
        total = sum;
    }
    double mark = (double)qn__rng_uniform(&sampler->rng) * total;
    int32_t at = 0;
    for (; at < count - 1; at++) {
        mark -= exp(((double)list[at].logit - top) / (double)o->temperature);
        if (mark < 0) break;
    }
    *token = list[at].id;
    return QN_OK;
}
