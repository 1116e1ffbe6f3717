/* What the sequences of a step are: a pure function of tokens, seed, step and place in the batch.
 */
#ifndef QN_TRAIN_SAMPLES_H
#define QN_TRAIN_SAMPLES_H

#include "train/packing.h"

typedef struct qn_sampling {
    int64_t context;
    uint64_t seed;
    bool documents;   /* a sequence holds documents, which do not see each other; else a window of
                         the tokens end to end */
    bool permutation; /* every sample once an epoch, in a new order each; else drawn anew, with
                         repeats */
} qn_sampling;

typedef struct qn_samples {
    const qn_tokens *tokens;
    qn_sampling how;
    uint64_t count;     /* of an epoch: sequences of documents, or windows that do not overlap */
    qn_packing packing; /* of documents */
} qn_samples;

/* tokens must outlive it. No token to predict: count is 0, and nothing may be filled. */
qn_status qn__samples_create(const qn_tokens *tokens, const qn_sampling *how,
                             qn_samples *samples) QN_MUST_USE;
void qn__samples_free(qn_samples *samples);

/* Rows of sample i < count, [context] each: token, the token to predict (-1: none), place in its
 * document (positions may be NULL where windows are sampled). Rows that are left over are token 0,
 * a document each, and predict nothing. */
qn_status qn__samples_get(const qn_samples *samples, uint64_t i, int32_t *ids, int32_t *targets,
                          int32_t *positions) QN_MUST_USE;
/* The same for sequence `index` of step `step` of a run with `batch` sequences a step. */
qn_status qn__samples_of_step(const qn_samples *samples, int64_t step, int64_t batch, int64_t index,
                              int32_t *ids, int32_t *targets, int32_t *positions) QN_MUST_USE;
/* Which sample that is, when samples are permuted. */
uint64_t qn__samples_index(const qn_samples *samples, int64_t step, int64_t batch, int64_t index);

#endif
