/* Adapters in PEFT's layout: a folder with adapter_config.json and adapter_model.safetensors. */
#ifndef QN_MODEL_ADAPTER_H
#define QN_MODEL_ADAPTER_H

#include "file/safetensors.h"
#include "model/lora.h"

typedef struct qn_adapter {
    qn_lora lora;
    qn_safetensors *file;
    char *base; /* the model it was made for, as the folder says; NULL: it does not */
} qn_adapter;

/* Every tensor is checked: A and B of every target in every layer, and nothing else. QN_UNSUPPORTED
 * names what PEFT knows and we do not (DoRA, ranks by layer ...). */
qn_status qn__adapter_open(const char *folder, const qn_model_config *config,
                           qn_adapter *adapter) QN_MUST_USE;
void qn__adapter_close(qn_adapter *adapter);
/* A or B of an open adapter, in f32. */
qn_status qn__adapter_fetch(const qn_adapter *adapter, const qn_weight *part,
                            float *values) QN_MUST_USE;
/* Where `weight` has an adapter: values += scale B A. */
qn_status qn__adapter_fold(const qn_adapter *adapter, const qn_model_config *config,
                           const qn_weight *weight, float *values) QN_MUST_USE;
/* The adapter of a store; base: path or name of the model, for PEFT. */
qn_status qn__adapter_save(qn_store *store, const qn_model_config *config, const qn_lora *lora,
                           const char *base, const char *folder) QN_MUST_USE;

#endif
