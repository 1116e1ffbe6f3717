/* Tuning the calls of plans. */
#ifndef QN_GRAPH_TUNE_H
#define QN_GRAPH_TUNE_H

#include "graph/plan.h"
#include "ops/tune.h"

#include <quernel/tune.h>

/* What plans of one device are tuned with; a test puts its own timing in the place of a device. */
typedef struct qn_tuner {
    qn_device *device;
    const qn_caps *caps;
    qn_tuning *tuning;         /* entries go here */
    const char *path;          /* and are kept here; NULL: nowhere */
    qn_timing_fn timing;       /* NULL: the device */
    double (*now)(void *user); /* NULL: the clock */
    void *user;                /* of both */
    qn_tune_options options;
} qn_tuner;

/* Times the calls of these plans, of one store. *report: as qn_plan_tune, a new reference; NULL:
 * not wanted. */
qn_status qn__plans_tune(const qn_tuner *tuner, qn_plan *const *plans, int count,
                         json_t **report) QN_MUST_USE;
/* The same on the plans' own device, as text; then the plans choose again. */
qn_status qn__plans_tune_here(qn_plan *const *plans, int count, const qn_tune_options *options,
                              char **json) QN_MUST_USE;

#endif
