/* `quernel tune` for a model that generates. */
#include "base/check.h"
#include "graph/tune.h"
#include "model/model.h"

qn_status qn_model_tune(qn_model *model, const qn_tune_options *options, char **json)
{
    qn_peaks peaks;
    qn_session *session = NULL;
    *json = NULL;
    if (qn__device_caps(model->device)->peak_gflops <= 0)
        QN_TRY(qn_device_measure(model->device, &peaks));
    if (!model->cache_plan) /* the first session makes the plan that all share */
        QN_TRY(qn_session_create(model, NULL, &session));
    qn_plan *const plans[] = {model->cache_plan, model->loss_plan, model->all_plan};
    qn_status status = qn__plans_tune_here(plans, 3, options, json);
    qn_session_destroy(&session);
    return status;
}
