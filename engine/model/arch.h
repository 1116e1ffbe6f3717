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
    QN_Q_NORM,
    QN_K,
    QN_K_BIAS,
    QN_K_NORM,
    QN_V_,
    QN_V_BIAS,
    QN_O,
    QN_O_BIAS,
    QN_POST1, /* norm of what attention adds */
    QN_NORM2,
    QN_NORM2_BIAS,
    QN_GATE_UP, /* both, one after the other */
    QN_GATE,
    QN_GATE_BIAS,
    QN_UP,
    QN_UP_BIAS,
    QN_DOWN,
    QN_DOWN_BIAS,
    QN_ROUTER,       /* scores of experts */
    QN_GATE_EXPERTS, /* stacks, a matrix an expert */
    QN_UP_EXPERTS,
    QN_DOWN_EXPERTS,
    QN_SHARED_ROUTER, /* how much of the shared expert; a matrix of one row */
    QN_SHARED_GATE,
    QN_SHARED_UP,
    QN_SHARED_DOWN,
    QN_POST2, /* norm of what the feed-forward part adds */
    QN_FINAL,
    QN_FINAL_BIAS,
    QN_HEAD,
    QN_ROLE_COUNT
} qn_role;

typedef struct qn_weight_row {
    qn_role role;
    const char *name;  /* Hugging Face's; %d is the layer; of a stack, * is the expert */
    const char *gguf;  /* GGUF's */
    const char *shape; /* letters: V vocabulary, T context, C embed, F ffn, D head, Q heads x head,
                          K kv heads x head, 3 = 3C, A = Q + 2K, 2 = 2F, E experts, X expert ffn,
                          S shared ffn, 1 */
} qn_weight_row;

/* Biases of linear layers: never, always, as the configuration says, or where queries have one. */
typedef enum qn_bias_rule {
    QN_BIAS_NEVER,
    QN_BIAS_ALWAYS,
    QN_BIAS_CONFIG,
    QN_BIAS_AS_QUERIES
} qn_bias_rule;
/* Sliding windows: none, "sliding_window" in all layers, or in those that "use_sliding_window",
 * "max_window_layers" and "layer_types" name, or in every second one. */
typedef enum qn_window_rule {
    QN_WINDOW_NEVER,
    QN_WINDOW_ALL,
    QN_WINDOW_LAYERS,
    QN_WINDOW_ALTERNATE
} qn_window_rule;

typedef struct qn_arch_row {
    const char *name;             /* also model_type in config.json */
    const char *hf_class;         /* "architectures" in config.json */
    const char *gguf;             /* general.architecture in GGUF, which several rows may share */
    const qn_weight_row *weights; /* in the order of a file; name == NULL ends */
    bool layer_norm;              /* else RMS norm */
    bool learned_positions;       /* else rotary */
    bool fused_qkv;               /* one product for queries, keys and values */
    bool grouped;                 /* fewer heads of keys and values are allowed */
    bool swiglu;                  /* gated by SiLU, or gelu_gate; else GELU without a gate */
    bool gelu_gate;               /* gated by GELU (tanh form) */
    bool fused_gate;              /* one product for gate and up */
    bool post_norms;              /* RMS norm of what attention and feed-forward add */
    bool plus_one;                /* Hugging Face's norms hold w, which stands for 1 + w */
    bool scaled_tokens;           /* token embeddings times sqrt(embed) */
    bool tied;                    /* the head is the embedding where config.json does not say */
    bool in_out;                  /* linear weights are [in, out]; else [out, in] */
    bool qk_norm;                 /* RMS norm of each head's query and key, before they turn */
    bool o_bias;                  /* the output projection has a bias where q, k, v have */
    bool gpt2_keys;               /* config.json has GPT-2's words: n_embd, n_layer ... */
    bool gguf_pairs;              /* GGUF has queries and keys in rotary pairs, others in halves */
    bool gguf_factors;            /* llama.cpp reads factors of rotary frequencies */
    bool experts;                 /* the feed-forward part is a mixture of experts */
    bool expert_norm;             /* their weights are divided by their sum: llama.cpp always */
    bool shared_expert;           /* one of them all tokens meet */
    qn_bias_rule bias, mlp_bias;
    qn_window_rule window;
    int head_size;                  /* where config.json does not say; 0: embed / heads */
    int window_size;                /* the same; with a window rule */
    float attention_cap, logit_cap; /* the same; 0: the architecture has none */
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

/* GGUF's name of a weight, "blk.3.attn_q.weight", into text; returns text. */
const char *qn__weight_gguf(const qn_model_config *config, const qn_weight *weight, char *text,
                            size_t bytes);

/* The weight of that role; false where the model has none. */
bool qn__weight_at(const qn_model_config *config, qn_role role, int layer, qn_weight *weight);

bool qn__is_norm(qn_role role);
/* A matrix so small, and so sensitive, that it stays in f32. */
bool qn__is_router(qn_role role);
/* Stacks [experts, out, in]. Files of Hugging Face have the matrices one by one, the number of the
 * expert in the place of "*" in the weight's name. */
bool qn__is_stack(qn_role role);
const char *qn__expert_name(const qn_weight *weight, int64_t expert, char *text, size_t bytes);
int qn__head_size(const qn_model_config *config);
/* Does this layer attend through the window? False where the window is no shorter than the context.
 */
bool qn__layer_has_window(const qn_model_config *config, int layer);
/* Does any? */
bool qn__has_window(const qn_model_config *config);

/* N of qn_model_flops_per_token, and its flops of attention in sequences of `length` tokens. */
double qn__matrix_elements(const qn_model_config *config);
double qn__attention_flops(const qn_model_config *config, int64_t length);

#endif
