/* `quernel tune` for a training run: its plans, made but not run. */
#include "base/check.h"
#include "graph/tune.h"
#include "train/trainer.h"

static qn_status tune_plans(const qn_training *t, const qn_tune_options *options, char **json)
{
    qn_plan *const plans[] = {t->step_plan, t->eval_plan, t->norm_plan, t->update_plan};
    return qn__plans_tune_here(plans, 4, options, json);
}

qn_status qn_train_tune(const qn_train_options *train, qn_device *device,
                        const qn_tune_options *options, char **json)
{
    const qn_caps *caps = qn__device_caps(device);
    qn_model_config config;
    qn_data data;
    qn_peaks peaks;
    qn_training *training = NULL;
    *json = NULL;
    if (caps->peak_gflops <= 0) QN_TRY(qn_device_measure(device, &peaks));
    QN_TRY(qn__data_open(train, NULL, NULL, &data));
    qn_status status =
        qn__train_options_config(train, qn_tokenizer_vocab_size(data.tokenizer), &config);
    if (status == QN_OK) status = qn__trainer_fit(train, &config, device, caps, &training);
    if (status == QN_OK) status = tune_plans(training, options, json);
    qn__training_destroy(&training);
    qn__data_close(&data);
    return status;
}
