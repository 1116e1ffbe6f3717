/* `quernel tune` for a training run: its plans, made but not run. */
#include "base/check.h"
#include "graph/tune.h"
#include "train/start.h"
#include "train/trainer.h"

typedef struct tuning_job {
    const qn_tune_options *options;
    char **json;
} tuning_job;

static qn_status tune_plans(void *user, qn_training *t)
{
    const tuning_job *job = user;
    qn_plan *plans[QN_STEP_PLANS + 1];
    int64_t runs[QN_STEP_PLANS];
    int count = qn__training_plans(t, plans, runs);
    plans[count++] = t->eval_plan; /* NULL: the step's forward half */
    return qn__plans_tune_here(plans, count, job->options, job->json);
}

qn_status qn_train_tune(const qn_train_options *train, qn_device *device,
                        const qn_tune_options *options, char **json)
{
    qn_peaks peaks;
    *json = NULL;
    if (qn__device_caps(device)->peak_gflops <= 0) QN_TRY(qn_device_measure(device, &peaks));
    tuning_job job = {options, json};
    return qn__trainer_try(train, device, qn__device_caps(device), tune_plans, &job);
}
