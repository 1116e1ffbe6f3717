/* Configurations in GGUF: metadata "<architecture>.*", and what follows from the tensors there. */
#include "base/check.h"
#include "file/name_index.h"
#include "model/network.h"
#include "model/weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { KEY = 96, MOST = (1 << 24) - 1 };

/* A file and the beginning of its keys. */
typedef struct reader {
    const qn_gguf *gguf;
    const char *arch;
} reader;

static const char *key_of(const reader *r, const char *ending, char *key)
{
    snprintf(key, KEY, "%s.%s", r->arch, ending);
    return key;
}

static qn_status read_i32(const reader *r, const char *ending, bool required, int32_t *value)
{
    char key[KEY];
    int64_t wide = *value;
    QN_TRY(qn__gguf_i64(r->gguf, key_of(r, ending, key), required, 0, MOST, &wide));
    *value = (int32_t)wide;
    return QN_OK;
}

static qn_status read_f32(const reader *r, const char *ending, bool required, float *value)
{
    char key[KEY];
    double wide = (double)*value;
    QN_TRY(qn__gguf_f64(r->gguf, key_of(r, ending, key), required, &wide));
    *value = (float)wide;
    return QN_OK;
}

/* ---- which architecture ---- */

static qn_status unknown(const qn_gguf *gguf, const char *name, size_t bytes)
{
    char known[256] = "";
    for (int i = 0; i < QN_ARCH_COUNT; i++) {
        const char *gguf_name = qn__arch((qn_arch)i)->gguf;
        size_t used = strlen(known);
        bool listed = false;
        for (int j = 0; j < i; j++) listed |= strcmp(qn__arch((qn_arch)j)->gguf, gguf_name) == 0;
        if (!listed)
            snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", gguf_name);
    }
    return qn__fail(QN_UNSUPPORTED, "%s: general.architecture is \"%.*s\"; %s are known",
                    qn__gguf_path(gguf), bytes < 64 ? (int)bytes : 64, name, known);
}

/* Of the rows with the file's name the first that can do what the file says. */
static qn_status read_arch(const qn_gguf *gguf, reader *r, qn_arch *arch)
{
    const char *name;
    size_t bytes;
    int found = -1;
    QN_TRY(qn__gguf_string(gguf, "general.architecture", true, &name, &bytes));
    *r = (reader){.gguf = gguf};
    for (int i = 0; i < QN_ARCH_COUNT; i++) {
        const qn_arch_row *row = qn__arch((qn_arch)i);
        int32_t window = 0, experts = 0;
        if (strlen(row->gguf) != bytes || memcmp(row->gguf, name, bytes) != 0) continue;
        r->arch = row->gguf;
        QN_TRY(read_i32(r, "attention.sliding_window", false, &window));
        QN_TRY(read_i32(r, "expert_count", false, &experts));
        if (found >= 0 && row->experts != (experts > 0)) continue;
        if (found < 0 || row->experts ||
            (window > 0 && qn__arch((qn_arch)found)->window == QN_WINDOW_NEVER))
            found = i;
    }
    if (found < 0) return unknown(gguf, name, bytes);
    *arch = (qn_arch)found;
    return QN_OK;
}

/* ---- rotary angles ---- */

/* ggml divides frequencies by a list of factors where Hugging Face's rule "llama3" computes them:
 * a list that the rule's usual numbers give becomes the rule again. */
static void recognise_llama3(qn_model_config *c)
{
    qn_model_config plain = *c, guess = *c;
    int pairs = qn__head_size(c) / 2;
    float largest = 1;
    for (int i = 0; i < pairs; i++) largest = fmaxf(largest, c->rope.factors[0][i]);
    plain.rope = (qn_rope_rule){.scaling = QN_ROPE_PLAIN};
    guess.rope = (qn_rope_rule){
        .scaling = QN_ROPE_LLAMA3, .factor = largest, .low = 1, .high = 4, .original = 8192};
    for (int i = 0; i < pairs; i++) {
        double factor = qn__rope_frequency(&plain, i) / qn__rope_frequency(&guess, i);
        if (fabs(factor - (double)c->rope.factors[0][i]) > 1e-4 * factor) return;
    }
    if (largest > 1) c->rope = guess.rope;
}

static qn_status read_factors(const qn_gguf *gguf, const char *name, qn_model_config *c, int which,
                              bool *there)
{
    const qn_gguf_tensor *tensor = qn__gguf_tensor(gguf, name);
    int64_t pairs = qn__head_size(c) / 2;
    *there = tensor != NULL;
    if (!tensor) return QN_OK;
    if (tensor->type != QN_GGML_F32 || tensor->rank != 1 || tensor->ne[0] != pairs ||
        pairs > QN_MAX_ROPE_PAIRS || pairs < 1)
        return qn__fail(QN_BAD_DATA,
                        "%s: tensor %s is %s with rows of %lld; heads of %d need %lld of F32",
                        qn__gguf_path(gguf), name, qn__ggml_traits(tensor->type)->name,
                        (long long)tensor->ne[0], qn__head_size(c), (long long)pairs);
    memcpy(c->rope.factors[which], tensor->data, (size_t)tensor->bytes);
    return QN_OK;
}

/* Lists of factors; what the metadata says of scaling has been read before. */
static qn_status read_factor_lists(const reader *r, bool longrope, qn_model_config *c)
{
    bool all, shorter, longer;
    QN_TRY(read_factors(r->gguf, "rope_freqs.weight", c, 0, &all));
    if (all) {
        c->rope.scaling = QN_ROPE_FACTORS;
        c->rope.attention = 1;
        c->rope.original = c->context;
        memcpy(c->rope.factors[1], c->rope.factors[0], sizeof c->rope.factors[0]);
        recognise_llama3(c);
        return QN_OK;
    }
    QN_TRY(read_factors(r->gguf, "rope_factors_short.weight", c, 0, &shorter));
    QN_TRY(read_factors(r->gguf, "rope_factors_long.weight", c, 1, &longer));
    if (shorter != longer || (longrope && !longer))
        return qn__fail(QN_BAD_DATA,
                        "%s: longrope needs both rope_factors_short.weight and "
                        "rope_factors_long.weight",
                        qn__gguf_path(r->gguf));
    if (longer) c->rope.scaling = QN_ROPE_FACTORS;
    return QN_OK;
}

static bool is_text(const char *text, size_t bytes, const char *word)
{
    return bytes == strlen(word) && memcmp(text, word, bytes) == 0;
}

static qn_status read_scaling(const reader *r, qn_model_config *c)
{
    char key[KEY];
    const char *type = "none";
    size_t bytes = strlen(type);
    qn_rope_rule *rule = &c->rope;
    *rule = (qn_rope_rule){.factor = 1, .attention = 1, .original = c->context};
    QN_TRY(qn__gguf_string(r->gguf, key_of(r, "rope.scaling.type", key), false, &type, &bytes));
    QN_TRY(read_f32(r, "rope.scaling.factor", false, &rule->factor));
    QN_TRY(read_i32(r, "rope.scaling.original_context_length", false, &rule->original));
    QN_TRY(read_f32(r, "rope.scaling.attn_factor", false, &rule->attention));
    bool linear = is_text(type, bytes, "linear"), yarn = is_text(type, bytes, "yarn");
    bool longrope = is_text(type, bytes, "longrope");
    if (!linear && !yarn && !longrope && !is_text(type, bytes, "none"))
        return qn__fail(QN_UNSUPPORTED,
                        "%s: rope scaling \"%.*s\" is not supported; none, linear, yarn and "
                        "longrope are",
                        qn__gguf_path(r->gguf), bytes < 64 ? (int)bytes : 64, type);
    if (linear) rule->scaling = QN_ROPE_LINEAR;
    if (yarn) {
        /* As llama.cpp: the factor of cos and sin comes on top of the paper's. */
        rule->scaling = QN_ROPE_YARN;
        rule->whole_pairs = true;
        rule->low = 1;
        rule->high = 32;
        QN_TRY(read_f32(r, "rope.scaling.yarn_beta_slow", false, &rule->low));
        QN_TRY(read_f32(r, "rope.scaling.yarn_beta_fast", false, &rule->high));
        rule->attention *= (float)(0.1 * log((double)rule->factor) + 1);
    }
    return read_factor_lists(r, longrope, c);
}

static qn_status read_rope(const reader *r, qn_model_config *c)
{
    int32_t turned = qn__head_size(c);
    QN_TRY(read_f32(r, "rope.freq_base", false, &c->rope_theta));
    QN_TRY(read_i32(r, "rope.dimension_count", false, &turned));
    if (turned != qn__head_size(c))
        return qn__fail(QN_UNSUPPORTED,
                        "%s: %d of %d elements of a head are turned; only all are supported",
                        qn__gguf_path(r->gguf), turned, qn__head_size(c));
    c->rope_pairs = qn__arch(c->arch)->gguf_pairs;
    return read_scaling(r, c);
}

/* ---- the whole ---- */

static bool has(const reader *r, qn_role role, const qn_model_config *config)
{
    char name[QN_GGUF_NAME + 32];
    qn_weight weight = {.role = role, .layer = 0};
    return qn__gguf_tensor(r->gguf, qn__weight_gguf(config, &weight, name, sizeof name)) != NULL;
}

static qn_status read_tensors(const reader *r, qn_model_config *c)
{
    const qn_arch_row *arch = qn__arch(c->arch);
    const qn_gguf_tensor *tokens = qn__gguf_tensor(r->gguf, "token_embd.weight");
    if (!tokens)
        return qn__fail(QN_BAD_DATA, "%s: tensor token_embd.weight is missing%s",
                        qn__gguf_path(r->gguf),
                        qn__gguf_tensor_count(r->gguf) ? "" : ": the file has a vocabulary only");
    if (tokens->ne[1] > MOST)
        return qn__fail(QN_BAD_DATA, "%s: tensor token_embd.weight has %lld rows",
                        qn__gguf_path(r->gguf), (long long)tokens->ne[1]);
    c->vocab = (int32_t)tokens->ne[1];
    c->tied = !has(r, QN_HEAD, c);
    c->bias =
        arch->bias == QN_BIAS_ALWAYS ||
        (arch->bias == QN_BIAS_CONFIG && has(r, arch->fused_qkv ? QN_QKV_BIAS : QN_Q_BIAS, c));
    c->mlp_bias = arch->mlp_bias == QN_BIAS_CONFIG && has(r, QN_UP_BIAS, c);
    return QN_OK;
}

/* Widths that are not said follow from ffn, as in llama.cpp. */
static qn_status read_experts(const reader *r, qn_model_config *c)
{
    const qn_arch_row *arch = qn__arch(c->arch);
    c->experts = 0;
    QN_TRY(read_i32(r, "expert_count", arch->experts, &c->experts));
    if (!arch->experts) {
        if (c->experts == 0) return QN_OK;
        return qn__fail(QN_UNSUPPORTED, "%s: %s with %d experts, which is not supported",
                        qn__gguf_path(r->gguf), arch->gguf, c->experts);
    }
    QN_TRY(read_i32(r, "expert_used_count", true, &c->experts_used));
    if (c->experts < 1 || c->experts_used < 1 || c->experts_used > c->experts)
        return qn__fail(QN_BAD_DATA,
                        "%s: expert_used_count %d of expert_count %d: at least 1, at most all",
                        qn__gguf_path(r->gguf), c->experts_used, c->experts);
    c->expert_ffn = c->arch == QN_MIXTRAL ? c->ffn : c->ffn / c->experts_used;
    c->shared_ffn = arch->shared_expert ? c->ffn : 0;
    c->expert_norm = arch->expert_norm;
    QN_TRY(read_i32(r, "expert_feed_forward_length", false, &c->expert_ffn));
    if (!arch->shared_expert) return QN_OK;
    return read_i32(r, "expert_shared_feed_forward_length", false, &c->shared_ffn);
}

static qn_status read_sizes(const reader *r, qn_model_config *c)
{
    const qn_arch_row *arch = qn__arch(c->arch);
    int32_t values;
    QN_TRY(read_i32(r, "context_length", true, &c->context));
    QN_TRY(read_i32(r, "embedding_length", true, &c->embed));
    QN_TRY(read_i32(r, "block_count", true, &c->layers));
    QN_TRY(read_i32(r, "feed_forward_length", true, &c->ffn));
    QN_TRY(read_experts(r, c));
    QN_TRY(read_i32(r, "attention.head_count", true, &c->heads));
    c->kv_heads = c->heads;
    QN_TRY(read_i32(r, "attention.head_count_kv", false, &c->kv_heads));
    c->head_size = 0;
    QN_TRY(read_i32(r, "attention.key_length", false, &c->head_size));
    values = c->head_size;
    QN_TRY(read_i32(r, "attention.value_length", false, &values));
    if (values != c->head_size)
        return qn__fail(QN_UNSUPPORTED,
                        "%s: keys of %d and values of %d: only equal sizes are "
                        "supported",
                        qn__gguf_path(r->gguf), c->head_size, values);
    if (c->head_size > 0 && c->heads > 0 && c->head_size == c->embed / c->heads) c->head_size = 0;
    return read_f32(
        r, arch->layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
        true, &c->norm_eps);
}

/* llama.cpp has a fixed scale for Gemma 2: of the 27B model by embed / heads, of others by the head
 * size. */
static qn_status read_caps(const reader *r, qn_model_config *c)
{
    c->attention_cap = c->logit_cap = c->attention_scale = 0;
    if (qn__arch(c->arch)->attention_cap == 0) return QN_OK;
    if (c->layers == QN_GEMMA2_27B_LAYERS)
        c->attention_scale = (float)(1 / sqrt((double)c->embed / c->heads));
    QN_TRY(read_f32(r, "attn_logit_softcapping", false, &c->attention_cap));
    return read_f32(r, "final_logit_softcapping", false, &c->logit_cap);
}

static qn_status read_window(const reader *r, qn_model_config *c)
{
    const qn_arch_row *arch = qn__arch(c->arch);
    bool alternate = arch->window == QN_WINDOW_ALTERNATE;
    c->window_from = 0;
    c->window = alternate ? arch->window_size : 0;
    c->full_every = alternate ? 2 : 0;
    if (arch->window == QN_WINDOW_NEVER) return QN_OK;
    QN_TRY(read_i32(r, "attention.sliding_window", false, &c->window));
    QN_TRY(read_i32(r, "quernel.window_from", false, &c->window_from));
    return read_i32(r, "quernel.full_every", false, &c->full_every);
}

static qn_status read_id(const reader *r, const char *key, const qn_model_config *c, int32_t *id)
{
    int64_t value = -1;
    QN_TRY(qn__gguf_i64(r->gguf, key, false, -1, UINT32_MAX, &value));
    *id = value < c->vocab ? (int32_t)value : -1;
    return QN_OK;
}

/* Heads are known to divide before anything divides by them. */
static qn_status read_all(const reader *r, qn_model_config *c)
{
    QN_TRY(read_tensors(r, c));
    QN_TRY(read_sizes(r, c));
    if (c->embed < 1 || c->heads < 1 || (c->head_size == 0 && c->embed % c->heads != 0))
        return qn__fail(QN_BAD_DATA, "%s: embed %d cannot be cut into %d heads",
                        qn__gguf_path(r->gguf), c->embed, c->heads);
    QN_TRY(read_caps(r, c));
    QN_TRY(read_window(r, c));
    if (!qn__arch(c->arch)->learned_positions) QN_TRY(read_rope(r, c));
    QN_TRY(read_id(r, "tokenizer.ggml.bos_token_id", c, &c->bos));
    return read_id(r, "tokenizer.ggml.eos_token_id", c, &c->eos);
}

qn_status qn__config_from_gguf(const qn_gguf *gguf, qn_model_config *config)
{
    reader r;
    qn_arch arch = QN_LLAMA;
    QN_TRY(read_arch(gguf, &r, &arch));
    QN_TRY(qn_model_config_named(arch, NULL, config));
    QN_TRY(read_all(&r, config));
    qn_status status = qn_model_config_check(config);
    return status == QN_OK ? QN_OK : qn__wrap(QN_BAD_DATA, "%s: ", qn__gguf_path(gguf));
}

/* The tensors there are that a model of this configuration has. */
static qn_status index_known(const qn_gguf *gguf, const qn_model_config *config,
                             qn_name_index *known)
{
    static const char *const others[] = {"rope_freqs.weight", "rope_factors_short.weight",
                                         "rope_factors_long.weight"};
    qn_weight weight;
    int64_t earlier;
    for (int cursor = 0; qn__weight_next(config, &cursor, &weight);) {
        char name[128];
        const qn_gguf_tensor *tensor =
            qn__gguf_tensor(gguf, qn__weight_gguf(config, &weight, name, sizeof name));
        if (!tensor) continue;
        QN_TRY(qn__name_index_add(known, tensor->name, strlen(tensor->name), 0, &earlier));
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        QN_TRY(qn__name_index_add(known, others[i], strlen(others[i]), 0, &earlier));
    return QN_OK;
}

qn_status qn__gguf_check_names(const qn_gguf *gguf, const qn_model_config *config)
{
    qn_name_index known = {0};
    qn_status status = index_known(gguf, config, &known);
    for (size_t i = 0; i < qn__gguf_tensor_count(gguf) && status == QN_OK; i++) {
        const char *name = qn__gguf_tensor_at(gguf, i)->name;
        if (qn__name_index_find(&known, name, strlen(name)) != QN_NAME_ABSENT) continue;
        status = qn__fail(QN_UNSUPPORTED,
                          "%s: tensor %s is no part of %s as it is known here: the file is of "
                          "another kind of model",
                          qn__gguf_path(gguf), name, qn_arch_name(config->arch));
    }
    qn__name_index_free(&known);
    return status;
}
