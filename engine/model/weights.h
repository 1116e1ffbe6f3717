/* Weights between files and stores. */
#ifndef QN_MODEL_WEIGHTS_H
#define QN_MODEL_WEIGHTS_H

#include "file/model_file.h"
#include "graph/store.h"
#include "model/arch.h"

/* The configuration a file states. QN_UNSUPPORTED names what we do not run. */
qn_status qn__config_from_file(const qn_model_file *file, const char *path,
                               qn_model_config *config) QN_MUST_USE;
/* Fill the store's weights from a file of this configuration; types are converted to f32. */
qn_status qn__weights_read(qn_store *store, const qn_model_config *config,
                           const qn_model_file *file, const char *path) QN_MUST_USE;
/* config.json as transformers reads it; a new reference. */
json_t *qn__config_to_json(const qn_model_config *config);
qn_status qn__config_from_json(const json_t *json, const char *origin,
                               qn_model_config *config) QN_MUST_USE;
/* config.json and model.safetensors in `folder`, each whole or not at all. Biases a model lacks but
 * transformers expects are written as zeros. */
qn_status qn__weights_save_folder(qn_store *store, const qn_model_config *config,
                                  const char *folder) QN_MUST_USE;

#endif
