/* Weights between files and stores. */
#ifndef QN_MODEL_WEIGHTS_H
#define QN_MODEL_WEIGHTS_H

#include "file/model_file.h"
#include "graph/store.h"
#include "model/lora.h"

/* The configuration a file states. QN_UNSUPPORTED names what we do not run. */
qn_status qn__config_from_file(const qn_model_file *file, const char *path,
                               qn_model_config *config) QN_MUST_USE;
/* llm.c's name for a GPT-2 weight, "qkvw"; NULL: it has none. */
const char *qn__llmc_weight_name(qn_role role);
/* f32, f16, bf16 or whole blocks to f32; `from` may be unaligned. */
void qn__to_f32(const uint8_t *from, qn_dtype dtype, int64_t count, float *to);
/* Where weights come from, one by one, in f32 and in the store's layout. */
typedef struct qn_weight_source {
    /* values [elements of weight]; a weight that is not there stays as it is when it may be absent.
     */
    qn_status (*fetch)(const struct qn_weight_source *source, const qn_weight *weight,
                       float *values);
    /* The type it has where it comes from. */
    qn_dtype (*dtype)(const struct qn_weight_source *source, const qn_weight *weight);
    const qn_model_config *config; /* of the model there */
    const qn_model_file *file;
    qn_store *store;
    const struct qn_adapter *adapter; /* of a folder, folded in; may be NULL */
    const qn_lora *lora;              /* of the store, folded in; may be NULL */
    const char *path;
} qn_weight_source;

qn_weight_source qn__weights_of_file(const qn_model_file *file, const qn_model_config *config,
                                     const char *path);
qn_weight_source qn__weights_of_store(qn_store *store, const qn_model_config *config);
/* Is every weight there, of the shape the configuration says? Before anything is allocated on the
 * word of a configuration. */
qn_status qn__weights_check(const qn_weight_source *source) QN_MUST_USE;
/* Fill the store's weights; types are converted to f32. *hash of what was read; may be NULL. */
qn_status qn__weights_read(qn_store *store, const qn_weight_source *source,
                           uint64_t *hash) QN_MUST_USE;
/* config.json as transformers reads it; a new reference. */
json_t *qn__config_to_json(const qn_model_config *config);
qn_status qn__config_from_json(const json_t *json, const char *origin,
                               qn_model_config *config) QN_MUST_USE;
/* What transformers and our checkpoints hold of this model: rotary halves; GPT-2 with biases. */
qn_model_config qn__config_as_saved(const qn_model_config *config);
/* A weight of the saved model from a source: biases that the source lacks are zeros, rotary pairs
 * become halves. */
qn_status qn__weights_fetch_saved(const qn_weight_source *source, const qn_weight *weight,
                                  float *values) QN_MUST_USE;
/* config.json and model.safetensors in `folder`, each whole or not at all. dtype QN_DTYPE_COUNT:
 * as the source has it. progress may be NULL. */
typedef struct qn_save_options {
    qn_dtype dtype;
    qn_progress_fn progress;
    void *user;
} qn_save_options;
qn_status qn__weights_save_folder(const qn_weight_source *source, const qn_save_options *options,
                                  const char *folder) QN_MUST_USE;
/* Tell progress; QN_INTERRUPTED when it says stop. */
qn_status qn__save_progress(const qn_save_options *options, int64_t done,
                            int64_t total) QN_MUST_USE;

#endif
