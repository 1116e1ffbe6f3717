/* Steps whose update is not made: not finite, or far outside of what the last steps were. */
#ifndef QN_TRAIN_SKIP_H
#define QN_TRAIN_SKIP_H

#include "base/json.h"

enum { QN_OUTLIER_WINDOW = 128 }; /* as llm.c */

/* The last values seen, in a ring. All zero: none yet. */
typedef struct qn_outliers {
    double value[QN_OUTLIER_WINDOW];
    int count, next;
} qn_outliers;

/* How many standard deviations `value` lies above the mean of the QN_OUTLIER_WINDOW values before
 * it; NaN while there are fewer, 0 where they are all equal. Then remembers it: a new level becomes
 * usual. Call with finite values only. */
double qn__outliers_add(qn_outliers *window, double value);
/* Oldest first; a new reference, NULL when out of memory. */
json_t *qn__outliers_to_json(const qn_outliers *window);
/* Member `key` of `state`; missing: an empty window. */
qn_status qn__outliers_from_json(qn_outliers *window, const json_t *state, const char *origin,
                                 const char *key) QN_MUST_USE;

typedef struct qn_skips {
    qn_outliers loss, norm;
    int64_t in_a_row; /* steps that were not finite, up to now */
    char why[160];    /* of the last step; empty: its update is made */
} qn_skips;

typedef struct qn_skip_limits {
    double loss_z, norm_z; /* 0: no limit */
    int64_t in_a_row;
} qn_skip_limits;

/* Judge a step by its loss and its gradient's norm, before its update. Pure host arithmetic on
 * values that are the same on every rank; skips->why says what is wrong. z[2]: scores of loss and
 * norm. QN_NON_FINITE when more than limits->in_a_row steps in a row were not finite. */
qn_status qn__skips_judge(qn_skips *skips, const qn_skip_limits *limits, double loss, double norm,
                          double z[2]) QN_MUST_USE;

/* The run's folder keeps skipped.jsonl: one object a skipped step. Append to it; failure is logged
 * and training goes on. */
void qn__skips_record(const qn_skips *skips, const char *folder, int64_t step, double loss,
                      double norm, const double z[2]);
/* A run goes on after `step`: what was recorded of later steps is taken back. */
qn_status qn__skips_cut(const char *folder, int64_t step) QN_MUST_USE;

#endif
