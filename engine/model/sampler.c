/* A token from logits: penalties, stages, one random number. */
#include "model/sampler.h"

#include "base/check.h"
#include "base/checked.h"
#include "base/rng.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM = 0x73616D70, LANES = 16 };

/* ---- making ---- */

static const char *const stage_names[] = {"top_k", "typical", "top_p",
                                          "min_p", "xtc",     "temperature"};
enum { NAMED_STAGES = sizeof stage_names / sizeof stage_names[0] };

static qn_status add_stage(qn_sampler *s, const char *name, size_t length)
{
    for (int i = 0; i < NAMED_STAGES; i++) {
        if (strlen(stage_names[i]) != length || memcmp(stage_names[i], name, length) != 0) continue;
        for (int k = 0; k < s->stage_count; k++)
            QN_CHECK(s->stages[k] != (qn_sampler_stage)i, "samplers: %s is named twice",
                     stage_names[i]);
        s->stages[s->stage_count++] = (qn_sampler_stage)i;
        return QN_OK;
    }
    return qn__fail(QN_BAD_ARGUMENT,
                    "samplers: there is no \"%.*s\"; there are top_k, typical, top_p, min_p, xtc, "
                    "temperature",
                    length < 40 ? (int)length : 40, name);
}

static qn_status read_stages(qn_sampler *s)
{
    const char *text = s->options.samplers ? s->options.samplers : "";
    if (s->options.mirostat) {
        s->stages[0] = QN_STAGE_TEMPERATURE;
        s->stages[1] = QN_STAGE_MIROSTAT;
        s->stage_count = 2;
        return QN_OK;
    }
    if (!*text) text = "top_k typical top_p min_p xtc temperature";
    for (;;) {
        text += strspn(text, " ,;");
        size_t length = strcspn(text, " ,;");
        if (length == 0) return QN_OK;
        QN_TRY(add_stage(s, text, length));
        text += length;
    }
}

static qn_status make_room(qn_sampler *s)
{
    size_t n = (size_t)s->vocab;
    s->logits = calloc(n, sizeof *s->logits);
    s->list.id = calloc(n, sizeof *s->list.id);
    s->list.logit = calloc(n, sizeof *s->list.logit);
    s->list.weight = calloc(n, sizeof *s->list.weight);
    s->list.key = calloc(n, sizeof *s->list.key);
    s->items = calloc(2 * n, sizeof *s->items);
    bool all =
        s->logits && s->list.id && s->list.logit && s->list.weight && s->list.key && s->items;
    return all ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
}

qn_status qn_sampler_create(const qn_sampler_options *options, int32_t vocab, qn_sampler **sampler)
{
    static const qn_sampler_options greedy = {.size = sizeof greedy};
    *sampler = NULL;
    QN_CHECK(vocab > 0, "a vocabulary of %d", vocab);
    if (!options) options = &greedy;
    QN_TRY(qn__sampler_options_check(options));
    qn_sampler *s = calloc(1, sizeof *s);
    if (!s) return qn__fail(QN_OS_ERROR, "out of memory");
    s->options = *options;
    s->vocab = vocab;
    s->chosen = -1;
    s->mu = 2 * options->mirostat_tau;
    qn_status status = make_room(s);
    if (status == QN_OK) status = read_stages(s);
    if (status == QN_OK) status = qn__sampler_penalties_create(s);
    if (status != QN_OK) qn_sampler_destroy(&s);
    *sampler = s;
    return status;
}

void qn_sampler_destroy(qn_sampler **sampler)
{
    qn_sampler *s = *sampler;
    if (!s) return;
    void *owned[] = {s->biases, s->breaks,  s->history,    s->counts,      s->matches,  s->longest,
                     s->logits, s->list.id, s->list.logit, s->list.weight, s->list.key, s->items};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
    free(s);
    *sampler = NULL;
}

/* ---- the sequence ---- */

static qn_status grow(qn_sampler *s)
{
    size_t room = s->room ? s->room * 2 : 256;
    int32_t *history = realloc(s->history, room * sizeof *history);
    if (!history) return qn__fail(QN_OS_ERROR, "out of memory");
    s->history = history;
    if (s->longest) {
        int32_t *matches = realloc(s->matches, room * sizeof *matches);
        if (!matches) return qn__fail(QN_OS_ERROR, "out of memory");
        s->matches = matches;
    }
    s->room = room;
    return QN_OK;
}

qn_status qn_sampler_accept(qn_sampler *sampler, int32_t token)
{
    QN_CHECK(token >= 0 && token < sampler->vocab, "token %d is outside the vocabulary of %d",
             token, sampler->vocab);
    if (sampler->length == sampler->room) QN_TRY(grow(sampler));
    sampler->history[sampler->length++] = token;
    qn__sampler_count(sampler);
    const qn_sampler_options *o = &sampler->options;
    if (o->mirostat && token == sampler->chosen)
        sampler->mu -= o->mirostat_eta * (sampler->surprise - o->mirostat_tau);
    sampler->chosen = -1;
    return QN_OK;
}

void qn_sampler_rewind(qn_sampler *sampler, size_t length)
{
    if (length == 0) sampler->mu = 2 * sampler->options.mirostat_tau;
    sampler->chosen = -1;
    if (length >= sampler->length) return;
    sampler->length = length;
    qn__sampler_recount(sampler);
}

/* ---- choosing ---- */

static qn_status check_numbers(const float *logits, int32_t count)
{
    bool bad = false;
    int32_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        int some = 0;
        for (int lane = 0; lane < LANES; lane++) some |= logits[i + lane] != logits[i + lane];
        bad |= some != 0;
    }
    for (; i < count; i++) bad |= isnan(logits[i]);
    for (i = 0; bad && i < count; i++)
        if (isnan(logits[i]))
            return qn__fail(QN_NON_FINITE, "the model's logit of token %d is not a number", i);
    return QN_OK;
}

static bool may(const uint32_t *allowed, int32_t id)
{
    return !allowed || (allowed[id / 32] >> id % 32 & 1);
}

/* The first of the largest; -1 when all are -infinity or not allowed. */
static int32_t best_of(const float *logits, const uint32_t *allowed, int32_t count)
{
    float most = -INFINITY;
    int32_t best = -1;
    for (int32_t id = 0; id < count; id++)
        if (logits[id] > most && may(allowed, id)) {
            most = logits[id];
            best = id;
        }
    return best;
}

static void list_all(qn_sampler *s, const uint32_t *allowed, float most)
{
    int32_t count = 0;
    if (!(most < FLT_MAX)) most = FLT_MAX;
    for (int32_t id = 0; id < s->vocab; id++) {
        float logit = s->logits[id] < FLT_MAX ? s->logits[id] : FLT_MAX;
        s->list.id[count] = id;
        s->list.logit[count] = logit - most;
        count += logit > -INFINITY && may(allowed, id);
    }
    s->list.count = count;
}

/* Two numbers for the token at the next position: block `position` of the stream. */
static void draw(const qn_sampler *s, double *first, double *second)
{
    uint64_t seed = (uint64_t)s->options.seed, position = s->length;
    const uint32_t counter[4] = {(uint32_t)position, (uint32_t)(position >> 32), STREAM, 0};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t out[4];
    qn__philox(counter, key, out);
    *first = (double)(((uint64_t)out[0] << 32 | out[1]) >> 11) * 0x1p-53;
    *second = (double)(((uint64_t)out[2] << 32 | out[3]) >> 11) * 0x1p-53;
}

qn_status qn_sampler_choose(qn_sampler *sampler, const float *logits, const uint32_t *allowed,
                            int32_t *token)
{
    qn_sampler *s = sampler;
    double uniform, of_xtc;
    QN_TRY(check_numbers(logits, s->vocab));
    memcpy(s->logits, logits, (size_t)s->vocab * sizeof *logits);
    qn__sampler_penalize(s);
    int32_t best = best_of(s->logits, allowed, s->vocab);
    if (best < 0)
        return qn__fail(QN_NON_FINITE, "no token may be chosen: the logits of all are -infinity");
    s->chosen = *token = best;
    s->surprise = 0;
    if (s->options.temperature == 0) return QN_OK;
    list_all(s, allowed, s->logits[best]);
    draw(s, &uniform, &of_xtc);
    qn__sampler_stages(s, of_xtc);
    double total = qn__candidates_weigh(&s->list), mark = uniform * total;
    int32_t last = 0;
    for (int32_t i = 0; i < s->list.count; i++) {
        double weight = (double)s->list.weight[i];
        if (weight <= 0) continue;
        last = i;
        mark -= weight;
        if (mark < 0) break;
    }
    s->chosen = *token = s->list.id[last];
    s->surprise = log2(total / (double)s->list.weight[last]);
    return QN_OK;
}
