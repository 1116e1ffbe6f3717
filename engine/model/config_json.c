/* config.json: Hugging Face's keys of the architectures we know. */
#include "base/check.h"
#include "model/weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static qn_status read_i32(const json_t *json, const char *origin, const char *key, bool required,
                          int32_t *value)
{
    int64_t wide = *value;
    QN_TRY(qn__json_i64(json, origin, key, required, -1, 1 << 24, &wide));
    *value = (int32_t)wide;
    return QN_OK;
}

static qn_status read_f32(const json_t *json, const char *origin, const char *key, float *value)
{
    double wide = (double)*value;
    QN_TRY(qn__json_f64(json, origin, key, false, &wide));
    *value = (float)wide;
    return QN_OK;
}

/* An id, or the first of a list of ids. */
static void read_token(const json_t *json, const char *key, int32_t *value)
{
    const json_t *member = json_object_get(json, key);
    if (json_is_array(member)) member = json_array_get(member, 0);
    if (json_is_integer(member) && json_integer_value(member) >= 0 &&
        json_integer_value(member) < 1 << 24)
        *value = (int32_t)json_integer_value(member);
}

static qn_status read_gpt2(const json_t *json, const char *origin, qn_model_config *c)
{
    const char *act = "gelu_new";
    QN_TRY(read_i32(json, origin, "vocab_size", true, &c->vocab));
    QN_TRY(read_i32(json, origin, "n_positions", true, &c->context));
    QN_TRY(read_i32(json, origin, "n_embd", true, &c->embed));
    QN_TRY(read_i32(json, origin, "n_layer", true, &c->layers));
    QN_TRY(read_i32(json, origin, "n_head", true, &c->heads));
    c->kv_heads = c->heads;
    c->ffn = c->embed <= 1 << 22 ? 4 * c->embed : 0;
    QN_TRY(read_i32(json, origin, "n_inner", false, &c->ffn));
    QN_TRY(read_f32(json, origin, "layer_norm_epsilon", &c->norm_eps));
    QN_TRY(qn__json_string(json, origin, "activation_function", false, &act));
    if (strcmp(act, "gelu") == 0) c->gelu_erf = true;
    else if (strcmp(act, "gelu_new") != 0 && strcmp(act, "gelu_pytorch_tanh") != 0)
        return qn__fail(QN_UNSUPPORTED,
                        "%s: activation_function \"%s\"; gelu_new and gelu are known", origin, act);
    c->bias = true;
    const json_t *own = json_object_get(json, "quernel");
    return own ? qn__json_bool(own, origin, "bias", false, &c->bias) : QN_OK;
}

/* ---- rotary angles ---- */

static const char *const scaling_names[QN_ROPE_SCALING_COUNT] = {
    [QN_ROPE_PLAIN] = "default", [QN_ROPE_LINEAR] = "linear",    [QN_ROPE_LLAMA3] = "llama3",
    [QN_ROPE_YARN] = "yarn",     [QN_ROPE_FACTORS] = "longrope",
};

static qn_status find_scaling(const char *kind, const char *origin, qn_rope_rule *rule)
{
    for (int i = 0; i < QN_ROPE_SCALING_COUNT; i++) {
        if (strcmp(scaling_names[i], kind) != 0) continue;
        rule->scaling = (qn_rope_scaling)i;
        return QN_OK;
    }
    return qn__fail(
        QN_UNSUPPORTED,
        "%s: rope scaling \"%s\" is not supported; default, linear, llama3, yarn and longrope are",
        origin, kind);
}

/* The factor by which yarn multiplies cos and sin: given, or from the factor (Peng et al. 2023,
 * eq. 22), or DeepSeek's quotient of two such. */
static qn_status read_yarn_attention(const json_t *json, const char *origin, qn_rope_rule *rule)
{
    double grow = 0.1 * log((double)rule->factor), mscale = 0, all = 0;
    QN_TRY(qn__json_f64(json, origin, "mscale", false, &mscale));
    QN_TRY(qn__json_f64(json, origin, "mscale_all_dim", false, &all));
    rule->attention =
        (float)(mscale != 0 && all != 0 ? (mscale * grow + 1) / (all * grow + 1) : grow + 1);
    return read_f32(json, origin, "attention_factor", &rule->attention);
}

static qn_status read_factors(const json_t *json, const char *origin, const char *key,
                              const qn_model_config *c, float *factors)
{
    const json_t *list = json_object_get(json, key), *member;
    int size = c->head_size > 0 ? c->head_size : c->heads > 0 ? c->embed / c->heads : 0;
    size_t i;
    if (json_array_size(list) != (size_t)size / 2 || size / 2 > QN_MAX_ROPE_PAIRS)
        return qn__fail(QN_BAD_DATA, "%s: \"%s\" has %zu factors; heads of %d need %d", origin, key,
                        json_array_size(list), size, size / 2);
    json_array_foreach(list, i, member)
    {
        if (!json_is_number(member))
            return qn__fail(QN_BAD_DATA, "%s: \"%s\"[%zu] is no number", origin, key, i);
        factors[i] = (float)json_number_value(member);
    }
    return QN_OK;
}

/* Ding et al. 2024, as Phi-3 has it: "original_max_position_embeddings" may stand beside the rule.
 */
static qn_status read_longrope(const json_t *rule, const json_t *json, const char *origin,
                               qn_model_config *c)
{
    qn_rope_rule *r = &c->rope;
    r->original = c->context;
    QN_TRY(read_i32(json, origin, "original_max_position_embeddings", false, &r->original));
    QN_TRY(read_i32(rule, origin, "original_max_position_embeddings", false, &r->original));
    QN_TRY(read_factors(rule, origin, "short_factor", c, r->factors[0]));
    QN_TRY(read_factors(rule, origin, "long_factor", c, r->factors[1]));
    if (r->original <= 1)
        return qn__fail(QN_BAD_DATA, "%s: original_max_position_embeddings is %d", origin,
                        r->original);
    if (!(r->factor > 0)) r->factor = (float)c->context / (float)r->original;
    double grow = log(fmax((double)r->factor, 1)) / log((double)r->original);
    r->factor = fmaxf(r->factor, 1);
    r->attention = (float)sqrt(1 + grow);
    return read_f32(rule, origin, "attention_factor", &r->attention);
}

static qn_status read_scaling(const json_t *json, const char *origin, qn_model_config *c)
{
    qn_rope_rule *rule = &c->rope;
    QN_TRY(read_f32(json, origin, "factor", &rule->factor));
    if (rule->scaling == QN_ROPE_FACTORS) return QN_OK;
    if (rule->scaling != QN_ROPE_PLAIN && !(rule->factor >= 1))
        return qn__fail(QN_BAD_DATA, "%s: rope scaling \"%s\" needs a factor of 1 or more", origin,
                        scaling_names[rule->scaling]);
    if (rule->scaling != QN_ROPE_LLAMA3 && rule->scaling != QN_ROPE_YARN) return QN_OK;
    bool yarn = rule->scaling == QN_ROPE_YARN;
    rule->original = c->context;
    rule->low = 1;
    rule->high = yarn ? 32 : 4;
    rule->whole_pairs = true;
    QN_TRY(read_i32(json, origin, "original_max_position_embeddings", false, &rule->original));
    QN_TRY(read_f32(json, origin, yarn ? "beta_slow" : "low_freq_factor", &rule->low));
    QN_TRY(read_f32(json, origin, yarn ? "beta_fast" : "high_freq_factor", &rule->high));
    if (!yarn) return QN_OK;
    QN_TRY(qn__json_bool(json, origin, "truncate", false, &rule->whole_pairs));
    return read_yarn_attention(json, origin, rule);
}

/* transformers 4 has "rope_theta" and "rope_scaling", transformers 5 "rope_parameters". */
static qn_status read_rope(const json_t *json, const char *origin, qn_model_config *c)
{
    const json_t *rule = json_object_get(json, "rope_scaling");
    const char *kind = "default";
    double part = 1;
    QN_TRY(read_f32(json, origin, "rope_theta", &c->rope_theta));
    QN_TRY(qn__json_f64(json, origin, "partial_rotary_factor", false, &part));
    if (!json_is_object(rule)) rule = json_object_get(json, "rope_parameters");
    if (json_is_object(rule)) {
        QN_TRY(qn__json_string(rule, origin, "type", false, &kind));
        QN_TRY(qn__json_string(rule, origin, "rope_type", false, &kind));
        QN_TRY(read_f32(rule, origin, "rope_theta", &c->rope_theta));
        QN_TRY(qn__json_f64(rule, origin, "partial_rotary_factor", false, &part));
        QN_TRY(find_scaling(kind, origin, &c->rope));
        QN_TRY(read_scaling(rule, origin, c));
        if (c->rope.scaling == QN_ROPE_FACTORS) QN_TRY(read_longrope(rule, json, origin, c));
    }
    if (part != 1)
        return qn__fail(QN_UNSUPPORTED, "%s: partial_rotary_factor %g; only 1 is supported", origin,
                        part);
    return QN_OK;
}

/* ---- windows ---- */

/* "layer_types" must be what window_from and full_every can say. */
static qn_status read_layer_types(const json_t *types, const char *origin, qn_model_config *c)
{
    bool window[4096];
    int count = (int)json_array_size(types), first = -1, full = -1;
    if (count != c->layers)
        return qn__fail(QN_BAD_DATA, "%s: layer_types has %d entries, the model %d layers", origin,
                        count, c->layers);
    for (int i = 0; i < count; i++) {
        const char *type = json_string_value(json_array_get(types, (size_t)i));
        window[i] = type && strcmp(type, "sliding_attention") == 0;
        if (!window[i] && (!type || strcmp(type, "full_attention") != 0))
            return qn__fail(QN_UNSUPPORTED,
                            "%s: layer_types[%d] is %.80s; full_attention and sliding_attention "
                            "are known",
                            origin, i, type ? type : "not text");
        if (window[i] && first < 0) first = i;
        if (!window[i] && first >= 0 && full < 0) full = i;
    }
    c->window_from = first < 0 ? 0 : first;
    c->full_every = full < 0 ? 0 : full + 1;
    if (first < 0) c->window = 0;
    for (int i = 0; c->window > 0 && i < count; i++) {
        bool told = i >= c->window_from && (c->full_every == 0 || (i + 1) % c->full_every != 0);
        if (told != window[i])
            return qn__fail(QN_UNSUPPORTED,
                            "%s: layer_types has no pattern that is known: layer %d is %s", origin,
                            i, window[i] ? "sliding_attention" : "full_attention");
    }
    return QN_OK;
}

static qn_status read_window(const json_t *json, const char *origin, qn_model_config *c)
{
    qn_window_rule rule = qn__arch(c->arch)->window;
    const json_t *types = json_object_get(json, "layer_types");
    bool use = rule != QN_WINDOW_LAYERS;
    if (rule == QN_WINDOW_NEVER) return QN_OK;
    if (!json_object_get(json, "sliding_window")) c->window = qn__arch(c->arch)->window_size;
    QN_TRY(read_i32(json, origin, "sliding_window", false, &c->window));
    if (rule == QN_WINDOW_ALL) return QN_OK;
    QN_TRY(qn__json_bool(json, origin, "use_sliding_window", false, &use));
    if (!use) c->window = 0;
    if (c->window == 0) return QN_OK;
    if (c->layers > 0 && c->layers <= 4096 && json_is_array(types))
        return read_layer_types(types, origin, c);
    if (rule == QN_WINDOW_ALTERNATE) {
        c->full_every = 2;
        return QN_OK;
    }
    c->window_from = 28; /* transformers' own default */
    QN_TRY(read_i32(json, origin, "max_window_layers", false, &c->window_from));
    if (c->window_from >= c->layers) c->window = c->window_from = 0; /* no layer is reached */
    return QN_OK;
}

/* ---- llama and its kin ---- */

static qn_status read_biases(const json_t *json, const char *origin, qn_model_config *c)
{
    const qn_arch_row *arch = qn__arch(c->arch);
    c->bias = arch->bias == QN_BIAS_ALWAYS;
    c->mlp_bias = false;
    if (arch->bias == QN_BIAS_CONFIG)
        QN_TRY(qn__json_bool(json, origin, "attention_bias", false, &c->bias));
    if (arch->mlp_bias != QN_BIAS_CONFIG) return QN_OK;
    return qn__json_bool(json, origin, "mlp_bias", false, &c->mlp_bias);
}

/* What gates the feed-forward part; Gemma calls it "hidden_activation". */
static qn_status read_activation(const json_t *json, const char *origin, const qn_model_config *c)
{
    const char *known = qn__arch(c->arch)->gelu_gate ? "gelu_pytorch_tanh" : "silu", *act = known,
               *key = "hidden_act";
    if (qn__arch(c->arch)->gelu_gate && json_object_get(json, "hidden_activation"))
        key = "hidden_activation";
    QN_TRY(qn__json_string(json, origin, key, false, &act));
    if (strcmp(act, known) == 0) return QN_OK;
    return qn__fail(QN_UNSUPPORTED, "%s: %s \"%.80s\"; %s is known", origin, key, act, known);
}

static qn_status read_caps(const json_t *json, const char *origin, qn_model_config *c)
{
    const qn_arch_row *arch = qn__arch(c->arch);
    float scalar = 0;
    if (arch->attention_cap == 0) return QN_OK;
    c->attention_cap = c->logit_cap = 0;
    if (!json_object_get(json, "attn_logit_softcapping")) c->attention_cap = arch->attention_cap;
    if (!json_object_get(json, "final_logit_softcapping")) c->logit_cap = arch->logit_cap;
    QN_TRY(read_f32(json, origin, "attn_logit_softcapping", &c->attention_cap));
    QN_TRY(read_f32(json, origin, "final_logit_softcapping", &c->logit_cap));
    QN_TRY(read_f32(json, origin, "query_pre_attn_scalar", &scalar));
    if (scalar > 0) c->attention_scale = (float)(1 / sqrt((double)scalar));
    return QN_OK;
}

/* ---- experts ---- */

/* What the layers of a mixture may be otherwise, and we do not run. */
static qn_status check_mixture(const json_t *json, const char *origin)
{
    int32_t step = 1;
    bool window = false, bias = true;
    QN_TRY(read_i32(json, origin, "decoder_sparse_step", false, &step));
    if (step != 1)
        return qn__fail(QN_UNSUPPORTED,
                        "%s: decoder_sparse_step %d; only models with experts in every layer (1) "
                        "are supported",
                        origin, step);
    size_t plain = json_array_size(json_object_get(json, "mlp_only_layers"));
    if (plain > 0)
        return qn__fail(QN_UNSUPPORTED,
                        "%s: mlp_only_layers names %zu layers without experts; only models with "
                        "experts in every layer are supported",
                        origin, plain);
    QN_TRY(qn__json_bool(json, origin, "use_sliding_window", false, &window));
    if (window)
        return qn__fail(QN_UNSUPPORTED,
                        "%s: use_sliding_window; a window beside experts is not supported", origin);
    QN_TRY(qn__json_bool(json, origin, "qkv_bias", false, &bias));
    if (!bias)
        return qn__fail(QN_UNSUPPORTED, "%s: qkv_bias false; only true is supported", origin);
    return QN_OK;
}

static qn_status read_experts(const json_t *json, const char *origin, qn_model_config *c)
{
    const qn_arch_row *arch = qn__arch(c->arch);
    if (!arch->experts) return QN_OK;
    /* transformers 5 writes Qwen3's under Mixtral's name. */
    const char *count = json_object_get(json, "num_experts") ? "num_experts" : "num_local_experts";
    QN_TRY(read_i32(json, origin, count, true, &c->experts));
    QN_TRY(read_i32(json, origin, "num_experts_per_tok", true, &c->experts_used));
    c->expert_ffn = c->ffn;
    if (c->arch == QN_MIXTRAL) return QN_OK;
    QN_TRY(read_i32(json, origin, "moe_intermediate_size", true, &c->expert_ffn));
    if (arch->shared_expert)
        QN_TRY(read_i32(json, origin, "shared_expert_intermediate_size", true, &c->shared_ffn));
    c->expert_norm = false; /* transformers' own default */
    QN_TRY(qn__json_bool(json, origin, "norm_topk_prob", false, &c->expert_norm));
    return check_mixture(json, origin);
}

static void experts_to_json(const qn_model_config *c, json_t *json)
{
    if (c->experts == 0) return;
    bool mixtral = c->arch == QN_MIXTRAL;
    json_object_set_new(json, mixtral ? "num_local_experts" : "num_experts",
                        json_integer(c->experts));
    json_object_set_new(json, "num_experts_per_tok", json_integer(c->experts_used));
    json_object_set_new(json, "output_router_logits", json_false());
    if (mixtral) {
        json_object_set_new(json, "intermediate_size", json_integer(c->expert_ffn));
        return;
    }
    json_object_set_new(json, "moe_intermediate_size", json_integer(c->expert_ffn));
    json_object_set_new(json, "norm_topk_prob", json_boolean(c->expert_norm));
    json_object_set_new(json, "decoder_sparse_step", json_integer(1));
    json_object_set_new(json, "mlp_only_layers", json_array());
    if (c->shared_ffn > 0)
        json_object_set_new(json, "shared_expert_intermediate_size", json_integer(c->shared_ffn));
}

static qn_status read_llama(const json_t *json, const char *origin, qn_model_config *c)
{
    QN_TRY(read_i32(json, origin, "vocab_size", true, &c->vocab));
    QN_TRY(read_i32(json, origin, "max_position_embeddings", true, &c->context));
    QN_TRY(read_i32(json, origin, "hidden_size", true, &c->embed));
    QN_TRY(read_i32(json, origin, "intermediate_size", true, &c->ffn));
    QN_TRY(read_i32(json, origin, "num_hidden_layers", true, &c->layers));
    QN_TRY(read_i32(json, origin, "num_attention_heads", true, &c->heads));
    c->kv_heads = c->heads;
    QN_TRY(read_i32(json, origin, "num_key_value_heads", false, &c->kv_heads));
    c->head_size = qn__arch(c->arch)->head_size;
    QN_TRY(read_i32(json, origin, "head_dim", false, &c->head_size));
    QN_TRY(read_f32(json, origin, "rms_norm_eps", &c->norm_eps));
    QN_TRY(read_biases(json, origin, c));
    QN_TRY(read_activation(json, origin, c));
    QN_TRY(read_caps(json, origin, c));
    QN_TRY(read_window(json, origin, c));
    QN_TRY(read_experts(json, origin, c));
    const json_t *own = json_object_get(json, "quernel"); /* in checkpoints */
    if (own) QN_TRY(qn__json_bool(own, origin, "rope_pairs", false, &c->rope_pairs));
    return read_rope(json, origin, c);
}

static qn_status unknown_type(const char *type, const char *origin)
{
    char known[128] = "";
    for (int i = 0; i < QN_ARCH_COUNT; i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "",
                 qn_arch_name((qn_arch)i));
    }
    return qn__fail(QN_UNSUPPORTED, "%s: model_type \"%.80s\"; %s are known", origin, type, known);
}

qn_status qn__config_from_json(const json_t *json, const char *origin, qn_model_config *config)
{
    const char *type = "";
    qn_arch arch;
    QN_TRY(qn__json_string(json, origin, "model_type", true, &type));
    if (qn_arch_find(type, &arch) != QN_OK) return unknown_type(type, origin);
    bool gpt2 = qn__arch(arch)->gpt2_keys;
    QN_TRY(qn_model_config_named(arch, NULL, config));
    config->norm_eps = gpt2 ? 1e-5f : 1e-6f; /* transformers' own defaults */
    config->bias = false;
    config->tied = qn__arch(arch)->tied;
    QN_TRY(gpt2 ? read_gpt2(json, origin, config) : read_llama(json, origin, config));
    QN_TRY(qn__json_bool(json, origin, "tie_word_embeddings", false, &config->tied));
    read_token(json, "bos_token_id", &config->bos);
    read_token(json, "eos_token_id", &config->eos);
    qn_status status = qn_model_config_check(config);
    return status == QN_OK ? QN_OK : qn__wrap(QN_BAD_DATA, "%s: ", origin);
}

/* ---- writing ---- */

static json_t *factors_to_json(const float *factors, int count)
{
    json_t *list = json_array();
    for (int i = 0; list && i < count; i++)
        json_array_append_new(list, json_real((double)factors[i]));
    return list;
}

static json_t *scaling_to_json(const qn_model_config *c)
{
    const qn_rope_rule *rule = &c->rope;
    int pairs = qn__head_size(c) / 2;
    if (rule->scaling == QN_ROPE_PLAIN) return json_null();
    json_t *json = json_pack("{s:s,s:f}", "rope_type", scaling_names[rule->scaling], "factor",
                             (double)rule->factor);
    if (!json || rule->scaling == QN_ROPE_LINEAR) return json;
    if (rule->scaling == QN_ROPE_FACTORS) {
        json_object_set_new(json, "short_factor", factors_to_json(rule->factors[0], pairs));
        json_object_set_new(json, "long_factor", factors_to_json(rule->factors[1], pairs));
        json_object_set_new(json, "attention_factor", json_real((double)rule->attention));
        json_object_set_new(json, "original_max_position_embeddings", json_integer(rule->original));
        return json;
    }
    bool yarn = rule->scaling == QN_ROPE_YARN;
    json_object_set_new(json, yarn ? "beta_slow" : "low_freq_factor", json_real((double)rule->low));
    json_object_set_new(json, yarn ? "beta_fast" : "high_freq_factor",
                        json_real((double)rule->high));
    json_object_set_new(json, "original_max_position_embeddings", json_integer(rule->original));
    if (!yarn) return json;
    json_object_set_new(json, "attention_factor", json_real((double)rule->attention));
    json_object_set_new(json, "truncate", json_boolean(rule->whole_pairs));
    return json;
}

static json_t *layer_types_to_json(const qn_model_config *c)
{
    json_t *types = json_array();
    for (int i = 0; types && i < c->layers; i++) {
        bool full = i < c->window_from || (c->full_every > 0 && (i + 1) % c->full_every == 0);
        json_array_append_new(types, json_string(full ? "full_attention" : "sliding_attention"));
    }
    return types;
}

static void window_to_json(const qn_model_config *c, json_t *json)
{
    qn_window_rule rule = qn__arch(c->arch)->window;
    if (rule == QN_WINDOW_NEVER) return;
    json_object_set_new(json, "sliding_window",
                        c->window > 0 ? json_integer(c->window) : json_null());
    if (rule != QN_WINDOW_ALL && c->window > 0)
        json_object_set_new(json, "layer_types", layer_types_to_json(c));
    if (rule != QN_WINDOW_LAYERS) return;
    json_object_set_new(json, "use_sliding_window", json_boolean(c->window > 0));
    json_object_set_new(json, "max_window_layers",
                        json_integer(c->window > 0 ? c->window_from : c->layers));
}

static json_t *gpt2_to_json(const qn_model_config *c)
{
    return json_pack("{s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:s,s:f,s:f,s:f,s:f}", "vocab_size", c->vocab,
                     "n_positions", c->context, "n_ctx", c->context, "n_embd", c->embed, "n_layer",
                     c->layers, "n_head", c->heads, "n_inner", c->ffn, "activation_function",
                     c->gelu_erf ? "gelu" : "gelu_new", "layer_norm_epsilon", (double)c->norm_eps,
                     "attn_pdrop", 0.0, "embd_pdrop", 0.0, "resid_pdrop", 0.0);
}

static void caps_to_json(const qn_model_config *c, json_t *json)
{
    double size = qn__head_size(c), scale = (double)c->attention_scale;
    json_object_set_new(json, "hidden_activation", json_string("gelu_pytorch_tanh"));
    json_object_set_new(json, "attn_logit_softcapping",
                        c->attention_cap > 0 ? json_real((double)c->attention_cap) : json_null());
    json_object_set_new(json, "final_logit_softcapping",
                        c->logit_cap > 0 ? json_real((double)c->logit_cap) : json_null());
    /* transformers takes a whole number. */
    json_object_set_new(json, "query_pre_attn_scalar",
                        json_integer((json_int_t)round(scale > 0 ? 1 / (scale * scale) : size)));
}

static json_t *llama_to_json(const qn_model_config *c)
{
    const qn_arch_row *arch = qn__arch(c->arch);
    json_t *json = json_pack("{s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:f,s:f,s:s}", "vocab_size",
                             c->vocab, "max_position_embeddings", c->context, "hidden_size",
                             c->embed, "intermediate_size", c->ffn, "num_hidden_layers", c->layers,
                             "num_attention_heads", c->heads, "num_key_value_heads", c->kv_heads,
                             "head_dim", qn__head_size(c), "rms_norm_eps", (double)c->norm_eps,
                             "rope_theta", (double)c->rope_theta, "hidden_act",
                             arch->gelu_gate ? "gelu_pytorch_tanh" : "silu");
    if (!json) return NULL;
    if (arch->attention_cap > 0) caps_to_json(c, json);
    json_object_set_new(json, "rope_scaling", scaling_to_json(c));
    json_object_set_new(json, "attention_bias", json_boolean(c->bias));
    json_object_set_new(json, "mlp_bias", json_boolean(c->mlp_bias));
    window_to_json(c, json);
    experts_to_json(c, json);
    return json;
}

json_t *qn__config_to_json(const qn_model_config *c)
{
    const qn_arch_row *arch = qn__arch(c->arch);
    json_t *json =
               json_pack("{s:[s],s:s}", "architectures", arch->hf_class, "model_type", arch->name),
           *rest = arch->gpt2_keys ? gpt2_to_json(c) : llama_to_json(c);
    if (!json || !rest || json_object_update(json, rest) != 0) {
        json_decref(json);
        json = NULL;
    }
    json_decref(rest);
    if (!json) return NULL;
    json_object_set_new(json, "initializer_range", json_real(0.02));
    json_object_set_new(json, "tie_word_embeddings", json_boolean(c->tied));
    json_object_set_new(json, "bos_token_id", c->bos >= 0 ? json_integer(c->bos) : json_null());
    json_object_set_new(json, "eos_token_id", c->eos >= 0 ? json_integer(c->eos) : json_null());
    json_object_set_new(json, "pad_token_id", json_null()); /* Phi-3's default is 32000 */
    json_object_set_new(json, "torch_dtype", json_string("float32"));
    json_object_set_new(json, "use_cache", json_true());
    json_t *own = json_pack("{s:b}", "bias", c->bias);
    if (c->rope_pairs) json_object_set_new(own, "rope_pairs", json_true());
    json_object_set_new(json, "quernel", own);
    return json;
}
