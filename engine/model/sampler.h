/* Choosing the next token from logits, on the host. */
#ifndef QN_MODEL_SAMPLER_H
#define QN_MODEL_SAMPLER_H

#include "base/rng.h"

#include <quernel/model.h>

typedef struct qn_candidate {
    float logit;
    int32_t id;
} qn_candidate;

typedef struct qn_sampler {
    qn_sampler_options options;
    qn_rng rng;
    int32_t vocab;
    qn_candidate *candidates; /* owned */
} qn_sampler;

/* options NULL: greedy. */
qn_status qn__sampler_init(qn_sampler *sampler, const qn_sampler_options *options,
                           int32_t vocab) QN_MUST_USE;
void qn__sampler_free(qn_sampler *sampler);
/* The k most likely, of these the fewest whose probability reaches p, then one by its probability
 * at this temperature; one random number a token. NaN logits are QN_NON_FINITE. */
qn_status qn__sampler_choose(qn_sampler *sampler, const float *logits, int32_t *token) QN_MUST_USE;

#endif
