/* `quernel tune` for a training run: its plans, made but not run. */
#include "base/check.h"
#include "graph/tune.h"
#include "train/start.h"
#include "train/trainer.h"

static qn_status tune_plans(const qn_training *t, const qn_tune_options *options, char **json)
{
    qn_plan *const plans[] = {t->step_plan, t->eval_plan, t->norm_plan, t->update_plan};
    return qn__plans_tune_here(plans, 4, options, json);
}

static qn_status tune_options(const qn_train_options *train, qn_device *device,
                              const qn_tune_options *options, char **json)
{
    const qn_caps *caps = qn__device_caps(device);
    qn_start start = {0};
    qn_data data;
    qn_training *training = NULL;
    QN_TRY(qn__data_open(train, NULL, NULL, &data));
    qn_status status = qn__start_open(train, data.tokenizer, &start);
    if (status == QN_OK) status = qn__trainer_fit(train, &start.config, device, caps, &training);
    if (status == QN_OK) status = tune_plans(training, options, json);
    qn__training_destroy(&training);
    qn__start_close(&start);
    qn__data_close(&data);
    return status;
}

qn_status qn_train_tune(const qn_train_options *train, qn_device *device,
                        const qn_tune_options *options, char **json)
{
    qn_train_options *own = NULL;
    qn_peaks peaks;
    *json = NULL;
    if (qn__device_caps(device)->peak_gflops <= 0) QN_TRY(qn_device_measure(device, &peaks));
    QN_TRY(qn__train_options_copy(train, &own));
    qn_status status = qn__start_tokenizer(own);
    if (status == QN_OK) status = tune_options(own, device, options, json);
    qn_train_options_destroy(&own);
    return status;
}
