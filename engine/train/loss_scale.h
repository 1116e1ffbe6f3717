/* Dynamic loss scaling: gradients in f16 start large enough not to vanish, and are scaled back in
 * f32. The schedule is torch's GradScaler: from 65536, doubled after 2000 steps in a row without an
 * overflow, halved (never below 1) by each overflow, whose step is skipped. (Micikevicius et al.
 * 2018) */
#ifndef QN_TRAIN_LOSS_SCALE_H
#define QN_TRAIN_LOSS_SCALE_H

#include "base/json.h"

#include <quernel/tensor.h>

typedef struct qn_loss_scale {
    double scale;
    bool dynamic;
    int64_t clean; /* steps since the last overflow or growth */
} qn_loss_scale;

/* "f32", "f16" or "bf16". */
qn_status qn__precision(const char *text, qn_dtype *type) QN_MUST_USE;
/* "f32" or "bf16", for AdamW's moments; "f32" or "none", for the matrices' masters. */
qn_status qn__moments(const char *text, qn_dtype *type) QN_MUST_USE;
qn_status qn__master(const char *text, qn_dtype precision, bool frozen,
                     bool *no_master) QN_MUST_USE;
/* fixed 0: dynamic in f16, 1 in the other types. Otherwise that scale, rounded to a power of two so
 * that scaling is exact. */
qn_loss_scale qn__loss_scale_start(qn_dtype type, double fixed);
/* After a step whose gradients were all finite, or overflowed. */
void qn__loss_scale_update(qn_loss_scale *scale, bool overflow);
/* Could a smaller scale help? */
bool qn__loss_scale_can_fall(const qn_loss_scale *scale);
/* A new reference; and back, a missing member leaving it as it is. */
json_t *qn__loss_scale_to_json(const qn_loss_scale *scale);
qn_status qn__loss_scale_from_json(qn_loss_scale *scale, const json_t *state,
                                   const char *origin) QN_MUST_USE;

#endif
