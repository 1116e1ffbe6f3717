/* What a run leaves behind for others to load. */
#include "base/check.h"
#include "base/fs.h"
#include "model/adapter.h"
#include "model/weights.h"
#include "train/trainer.h"

#include <stdlib.h>

static qn_status save_adapter(qn_trainer *t, const char *folder)
{
    const qn_training *training = t->training;
    char *base = realpath(t->options->model, NULL); /* PEFT loads it from anywhere */
    qn_status status = qn__adapter_save(training->store, &training->config, &training->lora,
                                        base ? base : t->options->model, folder);
    free(base);
    return status;
}

qn_status qn__trainer_save_model(qn_trainer *t)
{
    const qn_save_options as_it_is = {.dtype = QN_F32};
    const qn_training *training = t->training;
    const char *out = t->options->out;
    qn_weight_source source = qn__weights_of_store(training->store, &training->config);
    if (training->lora.rank == 0) return qn__weights_save_folder(&source, &as_it_is, out);
    if (!t->options->merge) return save_adapter(t, out);
    char *folder = qn__path_join(out, "adapter");
    qn_status status = folder ? save_adapter(t, folder) : qn__fail(QN_OS_ERROR, "out of memory");
    free(folder);
    source.lora = &training->lora;
    return status == QN_OK ? qn__weights_save_folder(&source, &as_it_is, out) : status;
}
