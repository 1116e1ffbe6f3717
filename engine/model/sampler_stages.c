/* The stages that leave candidates out, and what weighs them. */
#include "model/sampler.h"

#include <math.h>
#include <string.h>

enum { LANES = 8 };

/* e^x for x <= 0 to about an ulp: 2^n e^r, |r| <= ln(2) / 2, by a polynomial (Cody and Waite 1980).
 * No branch, so that a compiler makes vectors of it. Below -87: 0. */
static inline float exp_of(float x)
{
    float inside = x > -87.0f ? x : -87.0f;
    float n =
        inside * 1.44269504f + 12582912.0f; /* rounds: 1.5 2^23 leaves no room for fractions */
    n -= 12582912.0f;
    float r = inside - n * 0.693359375f;
    r -= n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int32_t power = ((int32_t)n + 127) * (1 << 23);
    float scale;
    memcpy(&scale, &power, sizeof scale);
    return x > -87.0f ? p * scale : 0.0f;
}

double qn__candidates_weigh(qn_candidates *list)
{
    double sums[LANES] = {0}, sum = 0;
    int32_t i = 0;
    for (int32_t k = 0; k < list->count; k++) list->weight[k] = exp_of(list->logit[k]);
    for (; i + LANES <= list->count; i += LANES)
        for (int lane = 0; lane < LANES; lane++) sums[lane] += (double)list->weight[i + lane];
    for (; i < list->count; i++) sums[0] += (double)list->weight[i];
    for (int lane = 0; lane < LANES; lane++) sum += sums[lane];
    return sum;
}

static float largest(const qn_candidates *list)
{
    float most = -INFINITY;
    for (int32_t i = 0; i < list->count; i++)
        if (list->logit[i] > most) most = list->logit[i];
    return most;
}

/* The likeliest first; with logits as far down as -infinity after a temperature near 0. */
static void keys_by_logit(qn_candidates *list)
{
    float most = largest(list);
    for (int32_t i = 0; i < list->count; i++) list->key[i] = most - list->logit[i];
}

static void top_k(qn_sampler *s)
{
    int64_t k = s->options.top_k;
    if (k == 0 || k >= s->list.count) return;
    keys_by_logit(&s->list);
    qn__candidates_keep(&s->list, s->items, (int32_t)k, INFINITY);
}

static void top_p(qn_sampler *s)
{
    double p = s->options.top_p;
    if (p <= 0 || p >= 1) return;
    double total = qn__candidates_weigh(&s->list);
    keys_by_logit(&s->list);
    qn__candidates_keep(&s->list, s->items, s->list.count, p * total);
}

/* Meister et al., "Locally typical sampling", TACL 2023: nearest to the entropy H first. With Z the
 * sum of weights, -log p_i = log Z - l_i and H = log Z - sum p_i l_i: the distance needs no log. */
static void typical(qn_sampler *s)
{
    qn_candidates *list = &s->list;
    double p = s->options.typical;
    if (p <= 0 || p >= 1) return;
    double total = qn__candidates_weigh(list), mean = 0;
    for (int32_t i = 0; i < list->count; i++)
        if (list->weight[i] > 0) mean += (double)list->weight[i] * (double)list->logit[i];
    mean /= total;
    for (int32_t i = 0; i < list->count; i++)
        list->key[i] = (float)fabs(mean - (double)list->logit[i]);
    qn__candidates_keep(list, s->items, list->count, p * total);
}

static void keep_only(qn_candidates *list, int32_t from, int32_t *to)
{
    list->id[*to] = list->id[from];
    list->logit[*to] = list->logit[from];
    list->weight[*to] = list->weight[from];
    ++*to;
}

/* Nguyen et al., "Turning up the heat: min-p sampling", 2024. */
static void min_p(qn_sampler *s)
{
    qn_candidates *list = &s->list;
    if (s->options.min_p <= 0) return;
    double least = (double)largest(list) + log(s->options.min_p);
    int32_t kept = 0;
    for (int32_t i = 0; i < list->count; i++)
        if ((double)list->logit[i] >= least) keep_only(list, i, &kept);
    list->count = kept;
}

/* "Exclude top choices": of those at least as likely as the threshold only the least likely stays
 * (of equal ones the last). */
static void xtc(qn_sampler *s, double uniform)
{
    qn_candidates *list = &s->list;
    if (uniform >= s->options.xtc_probability || s->options.xtc_threshold > 0.5) return;
    double least = s->options.xtc_threshold * qn__candidates_weigh(list);
    int32_t stays = -1, kept = 0;
    for (int32_t i = 0; i < list->count; i++)
        if ((double)list->weight[i] >= least &&
            (stays < 0 || list->logit[i] < list->logit[stays] ||
             (list->logit[i] == list->logit[stays] && list->id[i] > list->id[stays])))
            stays = i;
    for (int32_t i = 0; i < list->count; i++)
        if ((double)list->weight[i] < least || i == stays) keep_only(list, i, &kept);
    list->count = kept;
}

/* The largest stays at 0, so that no weight overflows. */
static void temperature(qn_sampler *s)
{
    qn_candidates *list = &s->list;
    float factor = (float)(1 / s->options.temperature), most = largest(list);
    if (!(factor < INFINITY)) factor = 3.4e38f;
    for (int32_t i = 0; i < list->count; i++) {
        float below = list->logit[i] - most;
        list->logit[i] = below < 0 ? below * factor : 0.0f;
    }
}

/* Basu et al., "Mirostat", ICLR 2021, the second form: what is more surprising than mu bits is left
 * out; mu then follows the surprise of the token accepted. */
static void mirostat(qn_sampler *s)
{
    qn_candidates *list = &s->list;
    double least = qn__candidates_weigh(list) * exp2(-s->mu);
    float most = largest(list);
    int32_t kept = 0;
    for (int32_t i = 0; i < list->count; i++)
        if ((double)list->weight[i] >= least || list->logit[i] == most) keep_only(list, i, &kept);
    list->count = kept;
}

void qn__sampler_stages(qn_sampler *sampler, double uniform)
{
    for (int i = 0; i < sampler->stage_count; i++) switch (sampler->stages[i]) {
        case QN_STAGE_TOP_K: top_k(sampler); break;
        case QN_STAGE_TYPICAL: typical(sampler); break;
        case QN_STAGE_TOP_P: top_p(sampler); break;
        case QN_STAGE_MIN_P: min_p(sampler); break;
        case QN_STAGE_XTC: xtc(sampler, uniform); break;
        case QN_STAGE_TEMPERATURE: temperature(sampler); break;
        case QN_STAGE_MIROSTAT: mirostat(sampler); break;
        case QN_STAGE_COUNT: break;
        }
}
