/* Architectures: one table row each, from which graphs, files and sizes follow. */
#ifndef QN_MODEL_ARCH_H
#define QN_MODEL_ARCH_H

#include "numeric/tensor.h"

#include <quernel/model.h>
#include <stddef.h>

/* What a weight is for. Layer weights exist once a layer. */
typedef enum qn_role {
    QN_TOKENS,
    QN_POSITIONS,
    QN_NORM1,
    QN_NORM1_BIAS,
    QN_QKV,
    QN_QKV_BIAS,
    QN_Q,
    QN_Q_BIAS,
    QN_K,
    QN_K_BIAS,
    QN_V_,
    QN_V_BIAS,
    QN_O,
    QN_O_BIAS,
    QN_NORM2,
    QN_NORM2_BIAS,
    QN_GATE,
    QN_UP,
    QN_UP_BIAS,
    QN_DOWN,
    QN_DOWN_BIAS,
    QN_FINAL,
    QN_FINAL_BIAS,
    QN_HEAD,
    QN_ROLE_COUNT
} qn_role;

typedef struct qn_weight_row {
    qn_role role;
    const char *name;  /* Hugging Face's; %d is the layer */
    const char *shape; /* letters: V vocabulary, T context, C embed, F ffn, Q heads x head, K kv
                          heads x head, 3 = 3C */
} qn_weight_row;

typedef struct qn_arch_row {
    const char *name;             /* also model_type in config.json */
    const char *hf_class;         /* "architectures" in config.json */
    bool layer_norm;              /* else RMS norm */
    bool learned_positions;       /* else rotary */
    bool swiglu;                  /* else GELU */
    bool in_out;                  /* linear weights are [in, out]; else [out, in] */
    bool biases;                  /* config.bias means something */
    const qn_weight_row *weights; /* in the order of a file; name == NULL ends */
} qn_arch_row;

const qn_arch_row *qn__arch(qn_arch arch);

/* One weight of a configured model. */
typedef struct qn_weight {
    qn_role role;
    int layer; /* -1: not of a layer */
    char name[96];
    qn_shape shape;
    bool decay; /* matrices decay, vectors do not */
} qn_weight;

/* Walk the weights in file order: *cursor starts at 0; false at the end. Biases, positions and the
 * head come only where the configuration has them. */
bool qn__weight_next(const qn_model_config *config, int *cursor, qn_weight *weight);

int qn__head_size(const qn_model_config *config);

#endif
