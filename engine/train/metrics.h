/* The figures of a step, and FOLDER/metrics.jsonl: one JSON object a line, each step once. */
#ifndef QN_TRAIN_METRICS_H
#define QN_TRAIN_METRICS_H

#include "base/json.h"
#include "device/caps.h"
#include "model/lora.h"

#include <quernel/train.h>

typedef struct qn_metric {
    const char *key;
    const char *tag; /* in TensorBoard; NULL: not shown there */
    bool there;      /* false: this step has no such figure */
    double value;
} qn_metric;

/* The i-th row of metric_list.def for this step; false past the last. */
bool qn__metric(const qn_step_info *info, int i, qn_metric *metric);
/* What a caller built against an older or newer header gave us, members it lacks filled in. */
qn_status qn__step_info_take(const qn_step_info *given, qn_step_info *info) QN_MUST_USE;

/* Flops a token of a run over sequences of `length`: qn_model_flops_per_token, or with an adapter
 * (rank above 0) 4 N + 6 (its elements) + attention, because still matrices have no gradient. */
double qn__run_flops_per_token(const qn_model_config *config, const qn_lora *lora, int64_t length);
/* What MFU is a part of: the measured peak for products of this type; 0: not measured. */
double qn__run_peak_gflops(const qn_caps *caps, qn_dtype type);

typedef struct qn_metrics qn_metrics;

/* Open for appending after step `done`: the lines of later steps, and a line that was cut short,
 * are taken off the end. With done == 0 the file begins anew. */
qn_status qn__metrics_open(const char *folder, int64_t done, qn_metrics **metrics) QN_MUST_USE;
/* One line, in one write: a killed process leaves whole lines. After a failure what was there is
 * there, and nothing of this line. */
qn_status qn__metrics_add(qn_metrics *metrics, const qn_step_info *info) QN_MUST_USE;
/* Survive a power cut too. */
qn_status qn__metrics_sync(qn_metrics *metrics) QN_MUST_USE;
void qn__metrics_close(qn_metrics **metrics);

#endif
