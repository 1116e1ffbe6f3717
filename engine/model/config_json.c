/* config.json: Hugging Face's keys of the architectures we know. */
#include "base/check.h"
#include "model/weights.h"

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

static qn_status read_rope(const json_t *json, const char *origin, qn_model_config *c)
{
    const json_t *scaling = json_object_get(json, "rope_scaling"),
                 *rope = json_object_get(json, "rope_parameters");
    const char *kind = "default";
    QN_TRY(read_f32(json, origin, "rope_theta", &c->rope_theta));
    if (json_is_object(rope)) QN_TRY(read_f32(rope, origin, "rope_theta", &c->rope_theta));
    const json_t *rule = json_is_object(scaling) ? scaling : json_is_object(rope) ? rope : NULL;
    if (!rule) return QN_OK;
    QN_TRY(qn__json_string(rule, origin, "type", false, &kind));
    QN_TRY(qn__json_string(rule, origin, "rope_type", false, &kind));
    if (strcmp(kind, "default") != 0)
        return qn__fail(QN_UNSUPPORTED, "%s: rope scaling \"%s\" is not supported yet", origin,
                        kind);
    return QN_OK;
}

static qn_status read_llama(const json_t *json, const char *origin, qn_model_config *c)
{
    const char *act = "silu";
    int32_t head = 0;
    QN_TRY(read_i32(json, origin, "vocab_size", true, &c->vocab));
    QN_TRY(read_i32(json, origin, "max_position_embeddings", true, &c->context));
    QN_TRY(read_i32(json, origin, "hidden_size", true, &c->embed));
    QN_TRY(read_i32(json, origin, "intermediate_size", true, &c->ffn));
    QN_TRY(read_i32(json, origin, "num_hidden_layers", true, &c->layers));
    QN_TRY(read_i32(json, origin, "num_attention_heads", true, &c->heads));
    c->kv_heads = c->heads;
    QN_TRY(read_i32(json, origin, "num_key_value_heads", false, &c->kv_heads));
    QN_TRY(read_i32(json, origin, "head_dim", false, &head));
    if (head > 0 && (c->heads <= 0 || head != c->embed / c->heads))
        return qn__fail(QN_UNSUPPORTED, "%s: head_dim %d is not hidden_size / num_attention_heads",
                        origin, head);
    QN_TRY(read_f32(json, origin, "rms_norm_eps", &c->norm_eps));
    QN_TRY(qn__json_bool(json, origin, "attention_bias", false, &c->bias));
    QN_TRY(qn__json_string(json, origin, "hidden_act", false, &act));
    if (strcmp(act, "silu") != 0)
        return qn__fail(QN_UNSUPPORTED, "%s: hidden_act \"%s\"; silu is known", origin, act);
    return read_rope(json, origin, c);
}

qn_status qn__config_from_json(const json_t *json, const char *origin, qn_model_config *config)
{
    const char *type = "";
    qn_arch arch;
    QN_TRY(qn__json_string(json, origin, "model_type", true, &type));
    if (qn_arch_find(type, &arch) != QN_OK)
        return qn__fail(QN_UNSUPPORTED, "%s: model_type \"%s\"; gpt2 and llama are known", origin,
                        type);
    QN_TRY(qn_model_config_named(arch, NULL, config));
    config->norm_eps = arch == QN_LLAMA ? 1e-6f : 1e-5f; /* transformers' own defaults */
    config->bias = false;
    config->tied = arch == QN_GPT2;
    QN_TRY(arch == QN_GPT2 ? read_gpt2(json, origin, config) : read_llama(json, origin, config));
    QN_TRY(qn__json_bool(json, origin, "tie_word_embeddings", false, &config->tied));
    read_token(json, "bos_token_id", &config->bos);
    read_token(json, "eos_token_id", &config->eos);
    qn_status status = qn_model_config_check(config);
    return status == QN_OK ? QN_OK : qn__wrap(QN_BAD_DATA, "%s: ", origin);
}

json_t *qn__config_to_json(const qn_model_config *c)
{
    const qn_arch_row *arch = qn__arch(c->arch);
    json_t *json =
        c->arch == QN_GPT2
            ? json_pack("{s:[s],s:s,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:s,s:f,s:f,s:f,s:f}",
                        "architectures", arch->hf_class, "model_type", arch->name, "vocab_size",
                        c->vocab, "n_positions", c->context, "n_ctx", c->context, "n_embd",
                        c->embed, "n_layer", c->layers, "n_head", c->heads, "n_inner", c->ffn,
                        "activation_function", c->gelu_erf ? "gelu" : "gelu_new",
                        "layer_norm_epsilon", (double)c->norm_eps, "attn_pdrop", 0.0, "embd_pdrop",
                        0.0, "resid_pdrop", 0.0)
            : json_pack("{s:[s],s:s,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:f,s:f,s:s,s:b,s:b}",
                        "architectures", arch->hf_class, "model_type", arch->name, "vocab_size",
                        c->vocab, "max_position_embeddings", c->context, "hidden_size", c->embed,
                        "intermediate_size", c->ffn, "num_hidden_layers", c->layers,
                        "num_attention_heads", c->heads, "num_key_value_heads", c->kv_heads,
                        "head_dim", qn__head_size(c), "rms_norm_eps", (double)c->norm_eps,
                        "rope_theta", (double)c->rope_theta, "hidden_act", "silu", "attention_bias",
                        c->bias, "mlp_bias", 0);
    if (!json) return NULL;
    json_object_set_new(json, "initializer_range", json_real(0.02));
    json_object_set_new(json, "tie_word_embeddings", json_boolean(c->tied));
    json_object_set_new(json, "bos_token_id", c->bos >= 0 ? json_integer(c->bos) : json_null());
    json_object_set_new(json, "eos_token_id", c->eos >= 0 ? json_integer(c->eos) : json_null());
    json_object_set_new(json, "torch_dtype", json_string("float32"));
    json_object_set_new(json, "use_cache", json_true());
    json_object_set_new(json, "quernel", json_pack("{s:b}", "bias", c->bias));
    return json;
}
