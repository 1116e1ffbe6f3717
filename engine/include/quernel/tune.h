/* Tuning: timing, once a device, which kernels and which of their settings are the fastest for the
 * shapes of a plan. Only those are compared that give the same bits, so tuning changes no result.
 *
 * The entries are kept in the cache folder, for this device, driver, version and set of kernel
 * sources. Plans use them unless their option `tune` or $QN_TUNE says "off"; "on" times what is
 * missing when a plan is prepared. */
#ifndef QUERNEL_TUNE_H
#define QUERNEL_TUNE_H

#include <quernel/graph.h>
#include <quernel/model.h>
#include <quernel/train.h>

typedef struct qn_tune_info {
    int calls, done;      /* to be timed in all; timed so far */
    int candidates;       /* of all calls together */
    double budget, spent; /* seconds */
    double left;          /* seconds that the rest will take, estimated; NaN: not known yet */
    const char *line;     /* the call being timed; NULL: before the first, and at the end */
} qn_tune_info;

/* Called before the first call is timed, while calls are, and at the end. false: stop; what was
 * timed is kept. */
typedef bool (*qn_tune_fn)(void *user, const qn_tune_info *info);

typedef struct qn_tune_options {
    uint32_t size;         /* sizeof(qn_tune_options) */
    double budget_seconds; /* 0: 60 */
    bool again;            /* also what has an entry */
    qn_tune_fn progress;   /* may be NULL */
    void *user;
} qn_tune_options;

/* Times what the plan calls, most work first; a plan with a run-time dimension at powers of two of
 * it. The plan itself then follows the entries, unless it was made with tune "off".
 * options may be NULL. JSON, free with qn_free: {"device", "file",
 * "budget_seconds", "spent_seconds", "calls", "candidates", "timed", "replaced", "left", "stopped",
 * "entries":
 * [{"case", "count", "default", "default_ms", "choice", "best_ms", "percent_of_peak", "bound"}]}.
 * Running out of budget and being stopped are no errors. */
QN_API qn_status qn_plan_tune(qn_plan *plan, const qn_tune_options *options,
                              char **json) QN_MUST_USE;
/* The plans of a training run, from nothing or from a model; its data is read for the vocabulary.
 */
QN_API qn_status qn_train_tune(const qn_train_options *train, qn_device *device,
                               const qn_tune_options *options, char **json) QN_MUST_USE;
/* The plans behind sessions of this model: prompts and single tokens. */
QN_API qn_status qn_model_tune(qn_model *model, const qn_tune_options *options,
                               char **json) QN_MUST_USE;

#endif
