/* Language models: by configuration or from a file; evaluation; generation. */
#ifndef QUERNEL_MODEL_H
#define QUERNEL_MODEL_H

#include <quernel/device.h>
#include <quernel/sample.h>
#include <quernel/text.h>

typedef enum qn_arch {
    QN_GPT2,
    QN_LLAMA, /* Llama 2 and 3 */
    QN_MISTRAL,
    QN_QWEN2,
    QN_QWEN3,
    QN_PHI3,
    QN_GEMMA2,
    QN_MIXTRAL,
    QN_QWEN2_MOE,
    QN_QWEN3_MOE,
    QN_ARCH_COUNT
} qn_arch;

/* How rotary angles are stretched to contexts longer than those of the pretraining. */
typedef enum qn_rope_scaling {
    QN_ROPE_PLAIN,
    QN_ROPE_LINEAR,  /* all frequencies divided by factor */
    QN_ROPE_LLAMA3,  /* long waves divided by factor, short ones kept, a ramp between */
    QN_ROPE_YARN,    /* Peng et al. 2023 */
    QN_ROPE_FACTORS, /* "longrope", Ding et al. 2024: each frequency divided by its own factor */
    QN_ROPE_SCALING_COUNT
} qn_rope_scaling;

enum { QN_MAX_ROPE_PAIRS = 256 };

/* Wavelengths are judged by how often they turn in `original` tokens: at least `high` times: kept;
 * at most `low` times: divided by factor. Factors: [0] where the model's context is at most
 * `original` tokens, [1] where it is longer. They and yarn multiply cos and sin by `attention`. */
typedef struct qn_rope_rule {
    qn_rope_scaling scaling;
    float factor, low, high, attention;
    int32_t original;
    bool whole_pairs; /* yarn: the ramp begins and ends at whole pairs */
    float factors[2][QN_MAX_ROPE_PAIRS];
} qn_rope_rule;

typedef struct qn_model_config {
    uint32_t size; /* sizeof(qn_model_config) */
    qn_arch arch;
    int32_t vocab, layers, heads, kv_heads, embed, ffn, context;
    int32_t head_size; /* 0: embed / heads */
    int32_t window;    /* tokens a row attends to, itself included; 0: all before it */
    /* Of the layers: those from window_from on, except every full_every-th (0: none), have the
     * window; the others attend to all tokens before. */
    int32_t window_from, full_every;
    float norm_eps;
    float rope_theta;               /* rotary positions */
    qn_rope_rule rope;              /* rotary positions */
    bool rope_pairs;                /* rotate pairs (2i, 2i+1) instead of halves */
    float attention_scale;          /* of scores; 0: 1 / sqrt(head size) */
    float attention_cap, logit_cap; /* c > 0: x becomes c tanh(x / c) */
    bool bias;     /* gpt2: all linear layers and norms; others: queries, keys, values */
    bool mlp_bias; /* llama */
    bool tied;     /* the head is the token embedding */
    bool gelu_erf; /* gpt2: the exact GELU instead of the tanh form */
    /* Mixtures of experts: how many there are, how many a token meets, their width, and the width
     * of the one that all tokens meet (0: none). */
    int32_t experts, experts_used, expert_ffn, shared_ffn;
    bool expert_norm; /* weights of the chosen are divided by their sum */
    int32_t bos, eos; /* -1: none */
} qn_model_config;

/* "gpt2", "llama", "mistral", "qwen2", "qwen3", "phi3", "gemma2", "mixtral", "qwen2_moe",
 * "qwen3_moe"; QN_BAD_ARGUMENT lists what there is. */
QN_API qn_status qn_arch_find(const char *name, qn_arch *arch) QN_MUST_USE;
QN_API const char *qn_arch_name(qn_arch arch);
/* The defaults of an architecture at a named size ("124M", "355M", "774M", "1.5B" for gpt2; "15M",
 * "42M", "110M", "1.1B" for llama), or with size_name NULL a small one to fill in. */
QN_API qn_status qn_model_config_named(qn_arch arch, const char *size_name,
                                       qn_model_config *config) QN_MUST_USE;
/* What cannot be: embed % heads, heads % kv_heads, zero sizes ... */
QN_API qn_status qn_model_config_check(const qn_model_config *config) QN_MUST_USE;
QN_API int64_t qn_model_parameters(const qn_model_config *config);
/* Flops that training on one token takes, forward and backward, in full sequences:
 *     6 N + 12 H D (sum over layers of K)
 * N: elements of the matrices that a token is multiplied by, the output matrix included, embeddings
 * that are only looked up not. H heads of size D. K: keys that a token attends to, on average over
 * its place in the context T: (T + 1) / 2, or (W (W + 1) / 2 + (T - W) W) / T with a window W; 4 H
 * D flops each, three times (forward, and twice backward). What is computed again in the backward
 * pass does not count. After Chowdhery et al., "PaLM: scaling language modeling with pathways",
 * 2022, appendix B, with the keys that a causal model needs only. */
QN_API double qn_model_flops_per_token(const qn_model_config *config);

/* A model's weights on a device, ready to evaluate and generate. One thread at a time. */
typedef struct qn_model qn_model;

/* A Hugging Face folder or a GGUF file (of any architecture above), a llama2.c checkpoint, an llm.c
 * GPT-2 checkpoint: recognised by content. device must outlive the model. */
QN_API qn_status qn_model_load(qn_device *device, const char *path, qn_model **model) QN_MUST_USE;
/* The same, with choices: what is NULL or 0 is as the model says. */
typedef struct qn_model_options {
    uint32_t size;       /* sizeof(qn_model_options) */
    const char *adapter; /* a folder in PEFT's layout, folded into the weights as they are read */
    /* At most so many tokens; rotary positions only. 0: as the model states, but at most 4096, and
     * less where keys and values of so many would take a quarter of the device's memory. */
    int32_t context;
    const char *type; /* quantize what is in floats to this format as it is read: "q8_0" ... */
    /* What keys and values are kept in, when sequences are made token by token: "f32", "f16",
     * "bf16", or in blocks of 32, "q8_0", "q4_0", where the size of a head is a multiple of that.
     * NULL: f32. With another type than f32, qn_model_logits and what evaluates by it go through
     * such a cache, too: their logits are those of generation. */
    const char *cache_type;
    int32_t sequences;    /* at once in a qn_batch (quernel/batch.h); 0: 1 */
    int32_t cache_tokens; /* of all of them together; 0: `context` each */
} qn_model_options;
QN_API qn_status qn_model_open(qn_device *device, const char *path, const qn_model_options *options,
                               qn_model **model) QN_MUST_USE;
QN_API void qn_model_destroy(qn_model **model);
QN_API const qn_model_config *qn_model_get_config(const qn_model *model);
/* What the model's file states; its config has what it was opened for. */
QN_API int32_t qn_model_stated_context(const qn_model *model);
/* Write config.json and model.safetensors (transformers loads them). */
QN_API qn_status qn_model_save(qn_model *model, const char *folder) QN_MUST_USE;

/* Logits [count, vocab] for each of `count` tokens of one sequence, count <= context. The caller
 * owns the array. */
QN_API qn_status qn_model_logits(qn_model *model, const int32_t *tokens, size_t count,
                                 float *logits) QN_MUST_USE;
/* Loss over i >= 1 of -log p(tokens[i] | tokens[..i)), windows of `context` tokens one after
 * another, each starting fresh. progress may be NULL; false stops with QN_INTERRUPTED. */
typedef struct qn_loss {
    double nll;        /* summed, in nats */
    int64_t predicted; /* tokens */
} qn_loss;
typedef bool (*qn_progress_fn)(void *user, int64_t done, int64_t total);
QN_API qn_status qn_model_loss(qn_model *model, const int32_t *tokens, size_t count, int batch,
                               qn_progress_fn progress, void *user, qn_loss *loss) QN_MUST_USE;

/* What a model file or folder holds, of any kind that can be read, as one JSON object; nothing is
 * run and no device is needed. The caller frees *json.
 *
 *   path, kind, version and alignment (GGUF), files [{path, bytes}]
 *   model     {runs, why (where it does not run), architecture, parameters, layers, ...}
 *   metadata  [{key, type, count (arrays), value}]: of arrays the first `most` elements; text that
 *             is no UTF-8 has its bytes as \xNN
 *   tensors   [{name, type, shape (row-major), file, offset (in it), bytes, bits_per_weight}]
 *   totals    {tensors, elements, bytes, bits_per_weight, types: {TYPE: {tensors, elements,
 * bytes}}} */
QN_API qn_status qn_inspect(const char *path, int64_t most, char **json) QN_MUST_USE;

/* ---- conversion ---- */

typedef struct qn_convert_options {
    uint32_t size;     /* sizeof(qn_convert_options) */
    const char *to;    /* "hf", "gguf", "llmc", "checkpoint"; NULL: gguf where `out` ends in .gguf,
                          llmc    where it ends in .bin, else hf */
    const char *dtype; /* "f32", "f16", "bf16"; NULL: as it is */
    const char *adapter; /* a folder in PEFT's layout, folded in; NULL: none */
    const char
        *tokenizer;       /* path; goes along instead of the model's own; "none": none goes along */
    uint64_t shard_bytes; /* gguf: the most bytes of tensors in a file; 0: one file */
} qn_convert_options;

/* Read a model of any format that qn_model_load knows and write it to `out`, one tensor at a time,
 * without a device. The model's tokenizer goes along. A GGUF file to GGUF without a dtype: every
 * tensor as it is, quantized or not. QN_UNSUPPORTED says what the other format
 * cannot hold. progress may be NULL; false stops with QN_INTERRUPTED. */
QN_API qn_status qn_model_convert(const char *in, const char *out,
                                  const qn_convert_options *options, qn_progress_fn progress,
                                  void *user) QN_MUST_USE;

/* ---- generation ---- */

/* One sequence and its KV cache. Parent: the model. */
typedef struct qn_session qn_session;

/* options: of qn_session_sample; NULL: greedy. */
QN_API qn_status qn_session_create(qn_model *model, const qn_sampler_options *options,
                                   qn_session **session) QN_MUST_USE;
QN_API void qn_session_destroy(qn_session **session);
/* Forget the sequence. */
QN_API void qn_session_reset(qn_session *session);
/* Append tokens (a prompt, or what was sampled). QN_BAD_ARGUMENT when the context is full. */
QN_API qn_status qn_session_feed(qn_session *session, const int32_t *tokens,
                                 size_t count) QN_MUST_USE;
/* Logits [vocab] after the last token fed; borrowed, valid until the next call. */
QN_API qn_status qn_session_logits(qn_session *session, const float **logits) QN_MUST_USE;
/* Append up to 32 tokens; logits [count, vocab] after each of them, with the same bits as fed one
 * by one. Borrowed, valid until the next call. */
QN_API qn_status qn_session_feed_rows(qn_session *session, const int32_t *tokens, size_t count,
                                      const float **logits) QN_MUST_USE;
/* Keep the first `length` tokens. */
QN_API qn_status qn_session_rewind(qn_session *session, int32_t length) QN_MUST_USE;
/* Drop the `drop` tokens after the first `keep`, so that more fit the context: an approximation, as
 * qn_batch_shift says. There are then no logits until a token was fed. */
QN_API qn_status qn_session_shift(qn_session *session, int32_t keep, int32_t drop) QN_MUST_USE;
/* Choose the next token by the sampler; does not feed it. */
QN_API qn_status qn_session_sample(qn_session *session, int32_t *token) QN_MUST_USE;
QN_API int32_t qn_session_length(const qn_session *session);

#endif
