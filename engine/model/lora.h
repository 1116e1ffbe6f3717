/* Low-rank adapters: y = W x + b + (alpha / rank) B A dropout(x) for chosen linear layers, with A
 * [rank, in] and B [out, rank]. W stays as it is; A and B are trained. (Hu et al. 2021) */
#ifndef QN_MODEL_LORA_H
#define QN_MODEL_LORA_H

#include "graph/store.h"
#include "model/arch.h"

typedef struct qn_lora {
    int32_t rank; /* 0: no adapter */
    float alpha;
    float dropout;
    bool rank_stable;          /* alpha / sqrt(rank) instead (Kalajdzievski 2023) */
    bool roles[QN_ROLE_COUNT]; /* the linear layers that have one */
} qn_lora;

float qn__lora_scale(const qn_lora *lora);
/* Names as PEFT has them, separated by commas ("q_proj,v_proj"), or "all-linear": all but the head.
 * QN_BAD_ARGUMENT lists what the architecture has. */
qn_status qn__lora_targets(const qn_model_config *config, const char *targets,
                           qn_lora *lora) QN_MUST_USE;
/* The i-th target's name, "q_proj"; NULL past the last. */
const char *qn__lora_target(const qn_model_config *config, const qn_lora *lora, int i);
bool qn__lora_has(const qn_lora *lora, qn_role role);

/* A and B of one linear weight, under PEFT's names: "base_model.model.<module>.lora_A.weight". */
void qn__lora_pair(const qn_model_config *config, const qn_lora *lora, const qn_weight *of,
                   qn_weight *a, qn_weight *b);
/* Walk what training changes: A and B of each adapted weight, or without an adapter (lora NULL or
 * of rank 0) all weights; as qn__weight_next. */
bool qn__trainable_next(const qn_model_config *config, const qn_lora *lora, int *cursor,
                        qn_weight *weight);
int64_t qn__trainable_parameters(const qn_model_config *config, const qn_lora *lora);

/* A and B in group "adapter". */
qn_status qn__lora_declare(qn_store *store, const qn_model_config *config,
                           const qn_lora *lora) QN_MUST_USE;
/* A uniform in [-1/sqrt(in), 1/sqrt(in)], as PEFT's default is; B zero: nothing is changed yet. */
qn_status qn__lora_init(qn_store *store, const qn_model_config *config, const qn_lora *lora,
                        uint64_t seed) QN_MUST_USE;
/* w += scale B A, w [out, in], or its transpose where the architecture stores [in, out]. */
void qn__lora_fold(const qn_lora *lora, bool in_out, const qn_shape *shape, const float *a,
                   const float *b, float *w);

#endif
