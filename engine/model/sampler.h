/* Inside the sampler. */
#ifndef QN_MODEL_SAMPLER_H
#define QN_MODEL_SAMPLER_H

#include <quernel/sample.h>

typedef enum qn_sampler_stage {
    QN_STAGE_TOP_K,
    QN_STAGE_TYPICAL,
    QN_STAGE_TOP_P,
    QN_STAGE_MIN_P,
    QN_STAGE_XTC,
    QN_STAGE_TEMPERATURE,
    QN_STAGE_MIROSTAT,
    QN_STAGE_COUNT
} qn_sampler_stage;

/* Tokens that may still be chosen, with logits less the largest of all (so at most 0). */
typedef struct qn_candidates {
    int32_t count;
    int32_t *id;
    float *logit;
    float *weight; /* exp(logit), once weighed */
    float *key;    /* what a stage orders them by */
} qn_candidates;

typedef struct qn_bias {
    int32_t id;
    float bias;
} qn_bias;

struct qn_sampler {
    qn_sampler_options options;
    int32_t vocab;
    qn_sampler_stage stages[QN_STAGE_COUNT];
    int stage_count;
    qn_bias *biases;
    int bias_count;
    uint8_t *breaks;  /* a bit a token: does a DRY repeat end there? NULL: nowhere */
    int32_t *history; /* [length] tokens accepted */
    size_t length, room;
    int32_t *counts;  /* [vocab] in the window of the penalties; NULL: no penalties */
    int32_t *matches; /* [room] DRY: lengths of repeats; NULL: no DRY */
    int32_t *longest; /* [vocab] DRY: the longest repeat a token goes on with */
    float *logits;    /* [vocab] after bias and penalties */
    qn_candidates list;
    struct qn_sort_item *items; /* [vocab] room to order candidates in */
    double mu;                  /* mirostat: most surprise allowed, in bits */
    int32_t chosen;             /* last; -1: none */
    double surprise;            /* of that, in bits, among what was left */
};

/* options must hold (qn__sampler_options_check). */
qn_status qn__sampler_options_check(const qn_sampler_options *options) QN_MUST_USE;

/* ---- penalties (sampler_penalties.c) ---- */

qn_status qn__sampler_penalties_create(qn_sampler *sampler) QN_MUST_USE;
/* Bias, penalties and DRY on sampler->logits. */
void qn__sampler_penalize(qn_sampler *sampler);
/* A token entered the history; or the history was cut and is counted anew. */
void qn__sampler_count(qn_sampler *sampler);
void qn__sampler_recount(qn_sampler *sampler);

/* ---- stages (sampler_stages.c) ---- */

/* weight = exp(logit), to about an ulp of a float; returns their sum, added in a fixed order. */
double qn__candidates_weigh(qn_candidates *list);
/* Run the stages on the list. uniform: of XTC, in [0, 1). */
void qn__sampler_stages(qn_sampler *sampler, double uniform);

/* ---- order (sampler_order.c) ---- */

typedef struct qn_sort_item {
    uint32_t order; /* of the key: smaller first */
    int32_t id;
    float logit, weight;
} qn_sort_item;

/* Keep those with the smallest keys (not negative; equal ones by place): as few as reach `mass`
 * together in weight, at most `most`, at least one. They end up in order. Time: one pass over all
 * and a sort of about what is kept. */
void qn__candidates_keep(qn_candidates *list, qn_sort_item *items, int32_t most, double mass);

#endif
