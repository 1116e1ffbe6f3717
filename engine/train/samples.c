#include "train/samples.h"

#include "base/check.h"
#include "base/rng.h"
#include "train/shuffle.h"

#include <string.h>

qn_status qn__samples_create(const qn_tokens *tokens, const qn_sampling *how, qn_samples *samples)
{
    *samples = (qn_samples){.tokens = tokens, .how = *how};
    uint64_t context = (uint64_t)how->context;
    if (how->documents) QN_TRY(qn__packing_create(tokens, how->context, &samples->packing));
    if (how->documents) samples->count = samples->packing.count;
    else if (tokens->count > 1) samples->count = (tokens->count - 2) / context + 1;
    return QN_OK;
}

void qn__samples_free(qn_samples *samples)
{
    qn__packing_free(&samples->packing);
    *samples = (qn_samples){0};
}

/* Rows of a piece; the last one predicts the token after it, if the document goes on. */
static qn_status put(const qn_samples *samples, const qn_piece *piece, int32_t *ids,
                     int32_t *targets)
{
    size_t tokens = piece->tokens;
    QN_TRY(qn__tokens_read(samples->tokens, piece->first, tokens, ids));
    memcpy(targets, ids + 1, (tokens - 1) * sizeof *ids);
    targets[tokens - 1] = -1;
    if (piece->goes_on)
        QN_TRY(qn__tokens_read(samples->tokens, piece->first + tokens, 1, targets + tokens - 1));
    for (size_t i = 0; i < tokens; i++) {
        ids[i] = qn__token_id(ids[i]);
        if (targets[i] < 0) targets[i] = -1;
    }
    return QN_OK;
}

static void clear(const qn_samples *samples, int32_t *ids, int32_t *targets, int32_t *positions)
{
    for (int64_t i = 0; i < samples->how.context; i++) {
        ids[i] = 0;
        targets[i] = -1;
        if (positions) positions[i] = samples->how.documents ? 0 : (int32_t)i;
    }
}

static qn_status window(const qn_samples *samples, uint64_t first, int32_t *ids, int32_t *targets)
{
    uint64_t there = samples->tokens->count - 1 - first, context = (uint64_t)samples->how.context;
    qn_piece piece = {first, (uint32_t)(there < context ? there : context), true};
    return put(samples, &piece, ids, targets);
}

qn_status qn__samples_get(const qn_samples *samples, uint64_t i, int32_t *ids, int32_t *targets,
                          int32_t *positions)
{
    QN_ASSERT(i < samples->count);
    clear(samples, ids, targets, positions);
    if (!samples->how.documents)
        return window(samples, i * (uint64_t)samples->how.context, ids, targets);
    const qn_packing *packing = &samples->packing;
    size_t row = 0;
    for (uint64_t p = packing->sequences[i]; p < packing->sequences[i + 1]; p++) {
        const qn_piece *piece = &packing->pieces[p];
        QN_TRY(put(samples, piece, ids + row, targets + row));
        for (uint32_t t = 0; t < piece->tokens; t++) positions[row++] = (int32_t)t;
    }
    return QN_OK;
}

uint64_t qn__samples_index(const qn_samples *samples, int64_t step, int64_t batch, int64_t index)
{
    uint64_t at = (uint64_t)step * (uint64_t)batch + (uint64_t)index;
    return qn__shuffle(at % samples->count, samples->count, samples->how.seed, at / samples->count);
}

qn_status qn__samples_of_step(const qn_samples *samples, int64_t step, int64_t batch, int64_t index,
                              int32_t *ids, int32_t *targets, int32_t *positions)
{
    uint64_t context = (uint64_t)samples->how.context;
    if (samples->how.permutation) {
        uint64_t i = qn__samples_index(samples, step, batch, index);
        return qn__samples_get(samples, i, ids, targets, positions);
    }
    qn_rng rng = {.seed = samples->how.seed,
                  .stream = (uint64_t)step + (UINT64_C(1) << 62),
                  .next = (uint64_t)index * 64};
    if (samples->how.documents) {
        uint64_t i = qn__rng_below(&rng, samples->count);
        return qn__samples_get(samples, i, ids, targets, positions);
    }
    QN_CHECK(samples->tokens->count > context, "%s: fewer tokens than a window of %lld needs",
             samples->tokens->name, (long long)context);
    clear(samples, ids, targets, positions);
    return window(samples, qn__rng_below(&rng, samples->tokens->count - context), ids, targets);
}
