#include "model/arch.h"

#include "base/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const qn_weight_row gpt2_weights[] = {
    {QN_TOKENS, "transformer.wte.weight", "token_embd.weight", "VC"},
    {QN_POSITIONS, "transformer.wpe.weight", "position_embd.weight", "TC"},
    {QN_NORM1, "transformer.h.%d.ln_1.weight", "blk.%d.attn_norm.weight", "C"},
    {QN_NORM1_BIAS, "transformer.h.%d.ln_1.bias", "blk.%d.attn_norm.bias", "C"},
    {QN_QKV, "transformer.h.%d.attn.c_attn.weight", "blk.%d.attn_qkv.weight", "C3"},
    {QN_QKV_BIAS, "transformer.h.%d.attn.c_attn.bias", "blk.%d.attn_qkv.bias", "3"},
    {QN_O, "transformer.h.%d.attn.c_proj.weight", "blk.%d.attn_output.weight", "CC"},
    {QN_O_BIAS, "transformer.h.%d.attn.c_proj.bias", "blk.%d.attn_output.bias", "C"},
    {QN_NORM2, "transformer.h.%d.ln_2.weight", "blk.%d.ffn_norm.weight", "C"},
    {QN_NORM2_BIAS, "transformer.h.%d.ln_2.bias", "blk.%d.ffn_norm.bias", "C"},
    {QN_UP, "transformer.h.%d.mlp.c_fc.weight", "blk.%d.ffn_up.weight", "CF"},
    {QN_UP_BIAS, "transformer.h.%d.mlp.c_fc.bias", "blk.%d.ffn_up.bias", "F"},
    {QN_DOWN, "transformer.h.%d.mlp.c_proj.weight", "blk.%d.ffn_down.weight", "FC"},
    {QN_DOWN_BIAS, "transformer.h.%d.mlp.c_proj.bias", "blk.%d.ffn_down.bias", "C"},
    {QN_FINAL, "transformer.ln_f.weight", "output_norm.weight", "C"},
    {QN_FINAL_BIAS, "transformer.ln_f.bias", "output_norm.bias", "C"},
    {QN_HEAD, "lm_head.weight", "output.weight", "VC"},
    {0},
};

/* Of Llama and its kin, before the feed-forward part, and after the layers. */
#define ATTENTION_WEIGHTS                                                                          \
    {QN_TOKENS, "model.embed_tokens.weight", "token_embd.weight", "VC"},                           \
        {QN_NORM1, "model.layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight", "C"},      \
        {QN_Q, "model.layers.%d.self_attn.q_proj.weight", "blk.%d.attn_q.weight", "QC"},           \
        {QN_Q_BIAS, "model.layers.%d.self_attn.q_proj.bias", "blk.%d.attn_q.bias", "Q"},           \
        {QN_Q_NORM, "model.layers.%d.self_attn.q_norm.weight", "blk.%d.attn_q_norm.weight", "D"},  \
        {QN_K, "model.layers.%d.self_attn.k_proj.weight", "blk.%d.attn_k.weight", "KC"},           \
        {QN_K_BIAS, "model.layers.%d.self_attn.k_proj.bias", "blk.%d.attn_k.bias", "K"},           \
        {QN_K_NORM, "model.layers.%d.self_attn.k_norm.weight", "blk.%d.attn_k_norm.weight", "D"},  \
        {QN_V_, "model.layers.%d.self_attn.v_proj.weight", "blk.%d.attn_v.weight", "KC"},          \
        {QN_V_BIAS, "model.layers.%d.self_attn.v_proj.bias", "blk.%d.attn_v.bias", "K"},           \
        {QN_O, "model.layers.%d.self_attn.o_proj.weight", "blk.%d.attn_output.weight", "CQ"},      \
        {QN_O_BIAS, "model.layers.%d.self_attn.o_proj.bias", "blk.%d.attn_output.bias", "C"},      \
    {                                                                                              \
        QN_NORM2, "model.layers.%d.post_attention_layernorm.weight", "blk.%d.ffn_norm.weight", "C" \
    }
#define FINAL_WEIGHTS                                                                              \
    {QN_FINAL, "model.norm.weight", "output_norm.weight", "C"},                                    \
    {                                                                                              \
        QN_HEAD, "lm_head.weight", "output.weight", "VC"                                           \
    }

static const qn_weight_row llama_weights[] = {
    ATTENTION_WEIGHTS,
    {QN_GATE, "model.layers.%d.mlp.gate_proj.weight", "blk.%d.ffn_gate.weight", "FC"},
    {QN_GATE_BIAS, "model.layers.%d.mlp.gate_proj.bias", "blk.%d.ffn_gate.bias", "F"},
    {QN_UP, "model.layers.%d.mlp.up_proj.weight", "blk.%d.ffn_up.weight", "FC"},
    {QN_UP_BIAS, "model.layers.%d.mlp.up_proj.bias", "blk.%d.ffn_up.bias", "F"},
    {QN_DOWN, "model.layers.%d.mlp.down_proj.weight", "blk.%d.ffn_down.weight", "CF"},
    {QN_DOWN_BIAS, "model.layers.%d.mlp.down_proj.bias", "blk.%d.ffn_down.bias", "C"},
    FINAL_WEIGHTS,
    {0},
};

static const qn_weight_row mixtral_weights[] = {
    ATTENTION_WEIGHTS,
    {QN_ROUTER, "model.layers.%d.block_sparse_moe.gate.weight", "blk.%d.ffn_gate_inp.weight", "EC"},
    {QN_GATE_EXPERTS, "model.layers.%d.block_sparse_moe.experts.*.w1.weight",
     "blk.%d.ffn_gate_exps.weight", "EXC"},
    {QN_UP_EXPERTS, "model.layers.%d.block_sparse_moe.experts.*.w3.weight",
     "blk.%d.ffn_up_exps.weight", "EXC"},
    {QN_DOWN_EXPERTS, "model.layers.%d.block_sparse_moe.experts.*.w2.weight",
     "blk.%d.ffn_down_exps.weight", "ECX"},
    FINAL_WEIGHTS,
    {0},
};

static const qn_weight_row qwen_moe_weights[] = {
    ATTENTION_WEIGHTS,
    {QN_ROUTER, "model.layers.%d.mlp.gate.weight", "blk.%d.ffn_gate_inp.weight", "EC"},
    {QN_GATE_EXPERTS, "model.layers.%d.mlp.experts.*.gate_proj.weight",
     "blk.%d.ffn_gate_exps.weight", "EXC"},
    {QN_UP_EXPERTS, "model.layers.%d.mlp.experts.*.up_proj.weight", "blk.%d.ffn_up_exps.weight",
     "EXC"},
    {QN_DOWN_EXPERTS, "model.layers.%d.mlp.experts.*.down_proj.weight",
     "blk.%d.ffn_down_exps.weight", "ECX"},
    {QN_SHARED_ROUTER, "model.layers.%d.mlp.shared_expert_gate.weight",
     "blk.%d.ffn_gate_inp_shexp.weight", "1C"},
    {QN_SHARED_GATE, "model.layers.%d.mlp.shared_expert.gate_proj.weight",
     "blk.%d.ffn_gate_shexp.weight", "SC"},
    {QN_SHARED_UP, "model.layers.%d.mlp.shared_expert.up_proj.weight", "blk.%d.ffn_up_shexp.weight",
     "SC"},
    {QN_SHARED_DOWN, "model.layers.%d.mlp.shared_expert.down_proj.weight",
     "blk.%d.ffn_down_shexp.weight", "CS"},
    FINAL_WEIGHTS,
    {0},
};

static const qn_weight_row phi3_weights[] = {
    {QN_TOKENS, "model.embed_tokens.weight", "token_embd.weight", "VC"},
    {QN_NORM1, "model.layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight", "C"},
    {QN_QKV, "model.layers.%d.self_attn.qkv_proj.weight", "blk.%d.attn_qkv.weight", "AC"},
    {QN_O, "model.layers.%d.self_attn.o_proj.weight", "blk.%d.attn_output.weight", "CQ"},
    {QN_NORM2, "model.layers.%d.post_attention_layernorm.weight", "blk.%d.ffn_norm.weight", "C"},
    {QN_GATE_UP, "model.layers.%d.mlp.gate_up_proj.weight", "blk.%d.ffn_up.weight", "2C"},
    {QN_DOWN, "model.layers.%d.mlp.down_proj.weight", "blk.%d.ffn_down.weight", "CF"},
    {QN_FINAL, "model.norm.weight", "output_norm.weight", "C"},
    {QN_HEAD, "lm_head.weight", "output.weight", "VC"},
    {0},
};

static const qn_weight_row gemma2_weights[] = {
    {QN_TOKENS, "model.embed_tokens.weight", "token_embd.weight", "VC"},
    {QN_NORM1, "model.layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight", "C"},
    {QN_Q, "model.layers.%d.self_attn.q_proj.weight", "blk.%d.attn_q.weight", "QC"},
    {QN_K, "model.layers.%d.self_attn.k_proj.weight", "blk.%d.attn_k.weight", "KC"},
    {QN_V_, "model.layers.%d.self_attn.v_proj.weight", "blk.%d.attn_v.weight", "KC"},
    {QN_O, "model.layers.%d.self_attn.o_proj.weight", "blk.%d.attn_output.weight", "CQ"},
    {QN_POST1, "model.layers.%d.post_attention_layernorm.weight",
     "blk.%d.post_attention_norm.weight", "C"},
    {QN_NORM2, "model.layers.%d.pre_feedforward_layernorm.weight", "blk.%d.ffn_norm.weight", "C"},
    {QN_GATE, "model.layers.%d.mlp.gate_proj.weight", "blk.%d.ffn_gate.weight", "FC"},
    {QN_UP, "model.layers.%d.mlp.up_proj.weight", "blk.%d.ffn_up.weight", "FC"},
    {QN_DOWN, "model.layers.%d.mlp.down_proj.weight", "blk.%d.ffn_down.weight", "CF"},
    {QN_POST2, "model.layers.%d.post_feedforward_layernorm.weight", "blk.%d.post_ffw_norm.weight",
     "C"},
    {QN_FINAL, "model.norm.weight", "output_norm.weight", "C"},
    {QN_HEAD, "lm_head.weight", "output.weight", "VC"},
    {0},
};

static const qn_arch_row arches[QN_ARCH_COUNT] = {
    [QN_GPT2] = {"gpt2", "GPT2LMHeadModel", "gpt2", gpt2_weights, .layer_norm = true,
                 .learned_positions = true, .fused_qkv = true, .in_out = true, .o_bias = true,
                 .gpt2_keys = true, .tied = true, .bias = QN_BIAS_CONFIG,
                 .mlp_bias = QN_BIAS_AS_QUERIES},
    [QN_LLAMA] = {"llama", "LlamaForCausalLM", "llama", llama_weights, .grouped = true,
                  .swiglu = true, .o_bias = true, .gguf_pairs = true, .gguf_factors = true,
                  .bias = QN_BIAS_CONFIG, .mlp_bias = QN_BIAS_CONFIG},
    [QN_MISTRAL] = {"mistral", "MistralForCausalLM", "llama", llama_weights, .grouped = true,
                    .swiglu = true, .gguf_pairs = true, .gguf_factors = true,
                    .window = QN_WINDOW_ALL, .window_size = 4096},
    [QN_QWEN2] = {"qwen2", "Qwen2ForCausalLM", "qwen2", llama_weights, .grouped = true,
                  .swiglu = true, .bias = QN_BIAS_ALWAYS, .window = QN_WINDOW_LAYERS},
    [QN_QWEN3] = {"qwen3", "Qwen3ForCausalLM", "qwen3", llama_weights, .grouped = true,
                  .swiglu = true, .qk_norm = true, .o_bias = true, .bias = QN_BIAS_CONFIG,
                  .window = QN_WINDOW_LAYERS, .head_size = 128},
    [QN_PHI3] = {"phi3", "Phi3ForCausalLM", "phi3", phi3_weights, .fused_qkv = true,
                 .grouped = true, .swiglu = true, .fused_gate = true, .gguf_factors = true,
                 .window = QN_WINDOW_ALL},
    [QN_GEMMA2] = {"gemma2", "Gemma2ForCausalLM", "gemma2", gemma2_weights, .grouped = true,
                   .swiglu = true, .gelu_gate = true, .post_norms = true, .plus_one = true,
                   .scaled_tokens = true, .tied = true, .window = QN_WINDOW_ALTERNATE,
                   .head_size = 256, .window_size = 4096, .attention_cap = 50, .logit_cap = 30},
    [QN_MIXTRAL] = {"mixtral", "MixtralForCausalLM", "llama", mixtral_weights, .grouped = true,
                    .swiglu = true, .gguf_pairs = true, .gguf_factors = true, .experts = true,
                    .expert_norm = true, .window = QN_WINDOW_ALL},
    [QN_QWEN2_MOE] = {"qwen2_moe", "Qwen2MoeForCausalLM", "qwen2moe", qwen_moe_weights,
                      .grouped = true, .swiglu = true, .bias = QN_BIAS_ALWAYS, .experts = true,
                      .shared_expert = true},
    [QN_QWEN3_MOE] = {"qwen3_moe", "Qwen3MoeForCausalLM", "qwen3moe", qwen_moe_weights,
                      .grouped = true, .swiglu = true, .qk_norm = true, .o_bias = true,
                      .bias = QN_BIAS_CONFIG, .head_size = 128, .experts = true,
                      .expert_norm = true},
};

const qn_arch_row *qn__arch(qn_arch arch)
{
    return &arches[arch];
}

const char *qn_arch_name(qn_arch arch)
{
    return (unsigned)arch < QN_ARCH_COUNT ? arches[arch].name : "?";
}

qn_status qn_arch_find(const char *name, qn_arch *arch)
{
    char known[128] = "";
    for (int i = 0; i < QN_ARCH_COUNT; i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", arches[i].name);
        if (strcmp(arches[i].name, name) != 0) continue;
        *arch = (qn_arch)i;
        return QN_OK;
    }
    return qn__fail(QN_BAD_ARGUMENT, "there is no architecture \"%s\"; there are %s", name, known);
}

bool qn__is_norm(qn_role role)
{
    return role == QN_NORM1 || role == QN_NORM2 || role == QN_FINAL || role == QN_Q_NORM ||
           role == QN_K_NORM || role == QN_POST1 || role == QN_POST2;
}

bool qn__is_router(qn_role role)
{
    return role == QN_ROUTER || role == QN_SHARED_ROUTER;
}

bool qn__is_stack(qn_role role)
{
    return role == QN_GATE_EXPERTS || role == QN_UP_EXPERTS || role == QN_DOWN_EXPERTS;
}

int qn__head_size(const qn_model_config *config)
{
    return config->head_size > 0 ? config->head_size : config->embed / config->heads;
}

bool qn__layer_has_window(const qn_model_config *c, int layer)
{
    if (c->window <= 0 || c->window >= c->context || layer < c->window_from) return false;
    return c->full_every <= 0 || (layer + 1) % c->full_every != 0;
}

bool qn__has_window(const qn_model_config *config)
{
    for (int layer = 0; layer < config->layers; layer++)
        if (qn__layer_has_window(config, layer)) return true;
    return false;
}

static int64_t size_of(const qn_model_config *config, char letter)
{
    switch (letter) {
    case 'V': return config->vocab;
    case 'T': return config->context;
    case 'C': return config->embed;
    case 'F': return config->ffn;
    case 'D': return qn__head_size(config);
    case 'Q': return (int64_t)config->heads * qn__head_size(config);
    case 'K': return (int64_t)config->kv_heads * qn__head_size(config);
    case 'A':
        return ((int64_t)config->heads + 2 * (int64_t)config->kv_heads) * qn__head_size(config);
    case '2': return 2 * (int64_t)config->ffn;
    case 'E': return config->experts;
    case 'X': return config->expert_ffn;
    case 'S': return config->shared_ffn;
    case '1': return 1;
    default: return 3 * (int64_t)config->embed;
    }
}

static bool present(const qn_model_config *config, qn_role role)
{
    const qn_arch_row *arch = qn__arch(config->arch);
    switch (role) {
    case QN_NORM1_BIAS:
    case QN_NORM2_BIAS:
    case QN_FINAL_BIAS:
    case QN_QKV_BIAS:
    case QN_Q_BIAS:
    case QN_K_BIAS:
    case QN_V_BIAS: return config->bias;
    case QN_O_BIAS: return config->bias && arch->o_bias;
    case QN_GATE_BIAS:
    case QN_UP_BIAS:
    case QN_DOWN_BIAS:
        return arch->mlp_bias == QN_BIAS_AS_QUERIES ? config->bias : config->mlp_bias;
    case QN_Q_NORM:
    case QN_K_NORM: return arch->qk_norm;
    case QN_SHARED_ROUTER:
    case QN_SHARED_GATE:
    case QN_SHARED_UP:
    case QN_SHARED_DOWN: return arch->shared_expert;
    case QN_HEAD: return !config->tied;
    default: return true;
    }
}

/* The cursor counts rows of the table, layer rows once a layer: first those before the layers, then
 * layer by layer, then those after. */
static bool locate(const qn_model_config *config, int cursor, const qn_weight_row **row, int *layer)
{
    const qn_weight_row *rows = qn__arch(config->arch)->weights;
    int before = 0, inside = 0;
    while (rows[before].name && !strstr(rows[before].name, "%d")) before++;
    while (rows[before + inside].name && strstr(rows[before + inside].name, "%d")) inside++;
    *layer = -1;
    if (cursor < before) {
        *row = &rows[cursor];
        return true;
    }
    cursor -= before;
    if (cursor < inside * config->layers) {
        *layer = cursor / inside;
        *row = &rows[before + cursor % inside];
        return true;
    }
    *row = &rows[before + inside + (cursor - inside * config->layers)];
    return (*row)->name != NULL;
}

/* "blk.%d.attn_q.weight" with the layer in the place of %d. */
static const char *with_layer(const char *name, int layer, char *text, size_t bytes)
{
    const char *mark = strstr(name, "%d");
    if (mark) snprintf(text, bytes, "%.*s%d%s", (int)(mark - name), name, layer, mark + 2);
    else snprintf(text, bytes, "%s", name);
    return text;
}

const char *qn__expert_name(const qn_weight *weight, int64_t expert, char *text, size_t bytes)
{
    const char *mark = strchr(weight->name, '*');
    int before = mark ? (int)(mark - weight->name) : (int)strlen(weight->name);
    if (mark)
        snprintf(text, bytes, "%.*s%lld%s", before, weight->name, (long long)expert, mark + 1);
    else snprintf(text, bytes, "%s", weight->name);
    return text;
}

static void fill_weight(const qn_model_config *config, const qn_weight_row *row, int layer,
                        qn_weight *weight)
{
    *weight = (qn_weight){.role = row->role, .layer = layer};
    (void)with_layer(row->name, layer, weight->name, sizeof weight->name);
    weight->shape.rank = (int)strlen(row->shape);
    for (int i = 0; i < weight->shape.rank; i++)
        weight->shape.dim[i] = size_of(config, row->shape[i]);
    weight->decay = weight->shape.rank >= 2;
}

bool qn__weight_next(const qn_model_config *config, int *cursor, qn_weight *weight)
{
    const qn_weight_row *row;
    int layer;
    do {
        if (!locate(config, (*cursor)++, &row, &layer)) return false;
    } while (!present(config, row->role));
    fill_weight(config, row, layer, weight);
    return true;
}

bool qn__weight_at(const qn_model_config *config, qn_role role, int layer, qn_weight *weight)
{
    const qn_weight_row *row = qn__arch(config->arch)->weights;
    while (row->name && row->role != role) row++;
    if (!row->name || !present(config, role)) return false;
    fill_weight(config, row, layer, weight);
    return true;
}

const char *qn__weight_gguf(const qn_model_config *config, const qn_weight *weight, char *text,
                            size_t bytes)
{
    const qn_weight_row *row = qn__arch(config->arch)->weights;
    while (row->name && row->role != weight->role) row++;
    return with_layer(row->name ? row->gguf : "", weight->layer, text, bytes);
}

/* ---- configurations ---- */

static const struct {
    qn_arch arch;
    const char *name;
    int vocab, layers, heads, kv_heads, embed, ffn, context;
    int experts, experts_used, expert_ffn, shared_ffn;
} sizes[] = {
    {QN_GPT2, "124M", 50257, 12, 12, 12, 768, 3072, 1024},
    {QN_GPT2, "355M", 50257, 24, 16, 16, 1024, 4096, 1024},
    {QN_GPT2, "774M", 50257, 36, 20, 20, 1280, 5120, 1024},
    {QN_GPT2, "1.5B", 50257, 48, 25, 25, 1600, 6400, 1024},
    {QN_LLAMA, "15M", 32000, 6, 6, 6, 288, 768, 256},
    {QN_LLAMA, "42M", 32000, 8, 8, 8, 512, 1376, 1024},
    {QN_LLAMA, "110M", 32000, 12, 12, 12, 768, 2048, 1024},
    {QN_LLAMA, "1.1B", 32000, 22, 32, 4, 2048, 5632, 2048},
    {QN_MISTRAL, "7B", 32000, 32, 32, 8, 4096, 14336, 32768},
    {QN_QWEN2, "0.5B", 151936, 24, 14, 2, 896, 4864, 32768},
    {QN_QWEN3, "0.6B", 151936, 28, 16, 8, 1024, 3072, 40960},
    {QN_PHI3, "mini", 32064, 32, 32, 32, 3072, 8192, 4096},
    {QN_GEMMA2, "2B", 256000, 26, 8, 4, 2304, 9216, 8192},
    {QN_MIXTRAL, "8x7B", 32000, 32, 32, 8, 4096, 14336, 32768, .experts = 8, .experts_used = 2,
     .expert_ffn = 14336},
    {QN_QWEN2_MOE, "A2.7B", 151936, 24, 16, 16, 2048, 5632, 8192, .experts = 60, .experts_used = 4,
     .expert_ffn = 1408, .shared_ffn = 5632},
    {QN_QWEN3_MOE, "30B-A3B", 151936, 48, 32, 4, 2048, 6144, 40960, .experts = 128,
     .experts_used = 8, .expert_ffn = 768},
};

static qn_status no_such_size(qn_arch arch, const char *size_name)
{
    char known[128] = "";
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t used = strlen(known);
        if (sizes[i].arch == arch)
            snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", sizes[i].name);
    }
    return qn__fail(QN_BAD_ARGUMENT, "%s has no size \"%s\"; there are %s", qn_arch_name(arch),
                    size_name, known);
}

qn_status qn_model_config_named(qn_arch arch, const char *size_name, qn_model_config *config)
{
    QN_CHECK((unsigned)arch < QN_ARCH_COUNT, "architecture %d does not exist", (int)arch);
    const qn_arch_row *row = qn__arch(arch);
    *config = (qn_model_config){.size = sizeof *config,
                                .arch = arch,
                                .vocab = 256,
                                .layers = 4,
                                .heads = 4,
                                .kv_heads = 4,
                                .embed = 128,
                                .ffn = row->swiglu ? 384 : 512,
                                .context = 256,
                                .norm_eps = 1e-5f,
                                .rope_theta = 10000.0f,
                                .attention_cap = row->attention_cap,
                                .logit_cap = row->logit_cap,
                                .full_every = row->window == QN_WINDOW_ALTERNATE ? 2 : 0,
                                .bias = arch == QN_GPT2 || row->bias == QN_BIAS_ALWAYS,
                                .tied = true,
                                .bos = -1,
                                .eos = -1};
    if (row->experts) {
        config->experts = 8;
        config->experts_used = 2;
        config->expert_ffn = config->ffn;
        config->shared_ffn = row->shared_expert ? config->ffn : 0;
        config->expert_norm = row->expert_norm;
    }
    if (!size_name) return QN_OK;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (sizes[i].arch != arch || strcmp(sizes[i].name, size_name) != 0) continue;
        config->vocab = sizes[i].vocab;
        config->layers = sizes[i].layers;
        config->heads = sizes[i].heads;
        config->kv_heads = sizes[i].kv_heads;
        config->head_size = row->head_size;
        config->embed = sizes[i].embed;
        config->ffn = sizes[i].ffn;
        config->context = sizes[i].context;
        config->experts = sizes[i].experts;
        config->experts_used = sizes[i].experts_used;
        config->expert_ffn = sizes[i].expert_ffn;
        config->shared_ffn = sizes[i].shared_ffn;
        config->tied = !row->experts && strcmp(size_name, "1.1B") != 0 &&
                       strcmp(size_name, "7B") != 0 && strcmp(size_name, "mini") != 0;
        if (row->window == QN_WINDOW_ALTERNATE) config->window = row->window_size;
        if (row->window == QN_WINDOW_LAYERS) config->rope_theta = 1e6f;
        return QN_OK;
    }
    return no_such_size(arch, size_name);
}

static qn_status check_factors(const qn_model_config *c)
{
    const qn_rope_rule *r = &c->rope;
    QN_CHECK(r->original > 0, "rope scaling needs the original context, not %d", r->original);
    QN_CHECK(r->attention > 0 && isfinite(r->attention),
             "rope scaling: attention factor %g must be above 0 and finite", (double)r->attention);
    for (int which = 0; which < 2; which++)
        for (int i = 0; i < qn__head_size(c) / 2; i++)
            QN_CHECK(r->factors[which][i] > 0 && isfinite(r->factors[which][i]),
                     "rope scaling: factor %d is %g, not above 0 and finite", i,
                     (double)r->factors[which][i]);
    return QN_OK;
}

static qn_status check_rotary(const qn_model_config *c)
{
    const qn_rope_rule *r = &c->rope;
    QN_CHECK(qn__head_size(c) % 2 == 0, "rotary positions need an even head size, not %d",
             qn__head_size(c));
    QN_CHECK(c->rope_theta > 0 && isfinite(c->rope_theta),
             "rope_theta %g must be above 0 and finite", (double)c->rope_theta);
    QN_CHECK((unsigned)r->scaling < QN_ROPE_SCALING_COUNT, "rope scaling %d does not exist",
             (int)r->scaling);
    if (r->scaling == QN_ROPE_PLAIN) return QN_OK;
    QN_CHECK(r->factor >= 1 && r->factor < 1e6f, "rope scaling factor %g is outside [1, 10^6)",
             (double)r->factor);
    if (r->scaling == QN_ROPE_LINEAR) return QN_OK;
    if (r->scaling == QN_ROPE_FACTORS) return check_factors(c);
    QN_CHECK(r->original > 0, "rope scaling needs the original context, not %d", r->original);
    QN_CHECK(r->low > 0 && r->high > r->low && isfinite(r->high),
             "rope scaling: %g (low) must be above 0 and below %g (high)", (double)r->low,
             (double)r->high);
    QN_CHECK(r->scaling != QN_ROPE_YARN ||
                 (r->attention > 0 && isfinite(r->attention) && c->rope_theta > 1),
             "yarn: attention factor %g must be above 0 and rope_theta %g above 1",
             (double)r->attention, (double)c->rope_theta);
    return QN_OK;
}

static qn_status check_attention(const qn_model_config *c)
{
    const qn_arch_row *arch = qn__arch(c->arch);
    QN_CHECK(c->heads > 0 && (c->head_size > 0 || c->embed % c->heads == 0),
             "embed %d is not a multiple of %d heads", c->embed, c->heads);
    QN_CHECK(c->head_size >= 0 && qn__head_size(c) <= 512, "a head size of %d is outside [1, 512]",
             qn__head_size(c));
    QN_CHECK(c->heads * (int64_t)qn__head_size(c) < 1 << 24, "%d heads of %d are wider than 2^24",
             c->heads, qn__head_size(c));
    QN_CHECK(!arch->in_out || qn__head_size(c) * (int64_t)c->heads == c->embed,
             "%s: %d heads of %d are not embed %d", arch->name, c->heads, qn__head_size(c),
             c->embed);
    QN_CHECK(c->kv_heads > 0 && c->heads % c->kv_heads == 0,
             "%d heads are not a multiple of %d kv-heads", c->heads, c->kv_heads);
    QN_CHECK(arch->grouped || c->kv_heads == c->heads,
             "%s has no grouped heads: leave out --kv-heads", arch->name);
    QN_CHECK(c->window >= 0 && c->window_from >= 0 && c->full_every >= 0,
             "window %d, from layer %d, full every %d: none may be negative", c->window,
             c->window_from, c->full_every);
    QN_CHECK(c->attention_scale >= 0 && c->attention_cap >= 0 && c->logit_cap >= 0 &&
                 c->attention_scale < 1e6f && c->attention_cap < 1e6f && c->logit_cap < 1e6f,
             "attention scale %g, attention cap %g, logit cap %g: each must be in [0, 10^6)",
             (double)c->attention_scale, (double)c->attention_cap, (double)c->logit_cap);
    QN_CHECK(c->window == 0 || arch->window != QN_WINDOW_NEVER,
             "%s has no sliding window: leave out --window", arch->name);
    return arch->learned_positions ? QN_OK : check_rotary(c);
}

static qn_status check_experts(const qn_model_config *c)
{
    const qn_arch_row *arch = qn__arch(c->arch);
    const int32_t limit = 1 << 24;
    QN_CHECK(arch->experts || (c->experts == 0 && c->shared_ffn == 0), "%s has no experts, not %d",
             arch->name, c->experts);
    if (!arch->experts) return QN_OK;
    QN_CHECK(c->experts > 0 && c->experts <= 4096, "%d experts are outside [1, 4096]", c->experts);
    QN_CHECK(c->experts_used > 0 && c->experts_used <= c->experts,
             "%d experts used of %d: at least 1, at most all", c->experts_used, c->experts);
    QN_CHECK(c->expert_ffn > 0 && c->expert_ffn < limit, "expert ffn %d is outside [1, 2^24)",
             c->expert_ffn);
    QN_CHECK(c->shared_ffn >= 0 && c->shared_ffn < limit &&
                 (c->shared_ffn > 0) == arch->shared_expert,
             "%s: a shared expert of width %d", arch->name, c->shared_ffn);
    return QN_OK;
}

qn_status qn_model_config_check(const qn_model_config *c)
{
    const int32_t limit = 1 << 24;
    QN_CHECK(c->size == sizeof *c, "qn_model_config.size is %u, this library's is %zu", c->size,
             sizeof *c);
    QN_CHECK((unsigned)c->arch < QN_ARCH_COUNT, "architecture %d does not exist", (int)c->arch);
    QN_CHECK(c->vocab > 0 && c->vocab < limit, "vocabulary of %d tokens is outside [1, 2^24)",
             c->vocab);
    QN_CHECK(c->layers > 0 && c->layers <= 4096, "%d layers are outside [1, 4096]", c->layers);
    QN_CHECK(c->embed > 0 && c->embed < limit, "embed %d is outside [1, 2^24)", c->embed);
    QN_CHECK(c->heads < limit, "%d heads are outside [1, 2^24)", c->heads);
    QN_CHECK(c->ffn > 0 && c->ffn < limit, "ffn %d is outside [1, 2^24)", c->ffn);
    QN_CHECK(c->context > 0 && c->context < limit, "context %d is outside [1, 2^24)", c->context);
    QN_CHECK(c->norm_eps > 0 && isfinite(c->norm_eps), "norm_eps %g must be above 0 and finite",
             (double)c->norm_eps);
    QN_TRY(check_experts(c));
    return check_attention(c);
}

int64_t qn_model_parameters(const qn_model_config *config)
{
    int64_t count = 0;
    qn_weight weight;
    for (int cursor = 0; qn__weight_next(config, &cursor, &weight);)
        count += qn_shape_elements(&weight.shape);
    return count;
}

double qn__matrix_elements(const qn_model_config *config)
{
    double matrices = 0;
    qn_weight weight;
    for (int cursor = 0; qn__weight_next(config, &cursor, &weight);) {
        bool looked_up = weight.role == QN_POSITIONS || (weight.role == QN_TOKENS && !config->tied);
        double met = qn__is_stack(weight.role) ? (double)config->experts_used / config->experts : 1;
        if (weight.shape.rank >= 2 && !looked_up)
            matrices += met * (double)qn_shape_elements(&weight.shape);
    }
    return matrices;
}

double qn__attention_flops(const qn_model_config *config, int64_t length)
{
    double keys = 0, rows = (double)length, window = config->window; /* keys: of all layers */
    for (int layer = 0; layer < config->layers; layer++) {
        if (!qn__layer_has_window(config, layer) || window >= rows) keys += (rows + 1) / 2;
        else keys += (window * (window + 1) / 2 + (rows - window) * window) / rows;
    }
    return 12.0 * config->heads * qn__head_size(config) * keys;
}

double qn_model_flops_per_token(const qn_model_config *config)
{
    return 6 * qn__matrix_elements(config) + qn__attention_flops(config, config->context);
}
