/* Timing the choices of one call. */
#ifndef QN_OPS_TUNE_H
#define QN_OPS_TUNE_H

#include "ops/choice.h"

/* Seconds of one run of a call as this choice: what a test puts in the place of a device. */
typedef qn_status (*qn_timing_fn)(void *user, const qn_call *call, const qn_choice *choice,
                                  double *seconds);

typedef struct qn_timer {
    qn_device *device;
    qn_timing_fn timing;      /* instead of the device; NULL: the device's */
    bool (*over)(void *user); /* as in device/race.h */
    void *user;               /* of both */
} qn_timer;

/* The choices worth timing for this call, the default first. 1: there is nothing to choose. Calls
 * whose time depends on data that only a run has (integer inputs) are left alone; more general
 * variants than the default's are timed at their presets, and for small calls only. Pure. */
int qn__call_candidates(const qn_call *call, qn_choice list[QN_MAX_CHOICES]);
/* Race them. On the device, in memory of their own; the winner's results are compared with the
 * default's and must be the same bits. *finished: false when it was over before. */
qn_status qn__call_tune(const qn_timer *timer, const qn_call *call, qn_tuned *entry,
                        bool *finished) QN_MUST_USE;

#endif
