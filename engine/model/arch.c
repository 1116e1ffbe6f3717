#include "model/arch.h"

#include "base/check.h"

#include <stdio.h>
#include <string.h>

static const qn_weight_row gpt2_weights[] = {
    {QN_TOKENS, "transformer.wte.weight", "VC"},
    {QN_POSITIONS, "transformer.wpe.weight", "TC"},
    {QN_NORM1, "transformer.h.%d.ln_1.weight", "C"},
    {QN_NORM1_BIAS, "transformer.h.%d.ln_1.bias", "C"},
    {QN_QKV, "transformer.h.%d.attn.c_attn.weight", "C3"},
    {QN_QKV_BIAS, "transformer.h.%d.attn.c_attn.bias", "3"},
    {QN_O, "transformer.h.%d.attn.c_proj.weight", "CC"},
    {QN_O_BIAS, "transformer.h.%d.attn.c_proj.bias", "C"},
    {QN_NORM2, "transformer.h.%d.ln_2.weight", "C"},
    {QN_NORM2_BIAS, "transformer.h.%d.ln_2.bias", "C"},
    {QN_UP, "transformer.h.%d.mlp.c_fc.weight", "CF"},
    {QN_UP_BIAS, "transformer.h.%d.mlp.c_fc.bias", "F"},
    {QN_DOWN, "transformer.h.%d.mlp.c_proj.weight", "FC"},
    {QN_DOWN_BIAS, "transformer.h.%d.mlp.c_proj.bias", "C"},
    {QN_FINAL, "transformer.ln_f.weight", "C"},
    {QN_FINAL_BIAS, "transformer.ln_f.bias", "C"},
    {QN_HEAD, "lm_head.weight", "VC"},
    {0, NULL, NULL},
};

static const qn_weight_row llama_weights[] = {
    {QN_TOKENS, "model.embed_tokens.weight", "VC"},
    {QN_NORM1, "model.layers.%d.input_layernorm.weight", "C"},
    {QN_Q, "model.layers.%d.self_attn.q_proj.weight", "QC"},
    {QN_Q_BIAS, "model.layers.%d.self_attn.q_proj.bias", "Q"},
    {QN_K, "model.layers.%d.self_attn.k_proj.weight", "KC"},
    {QN_K_BIAS, "model.layers.%d.self_attn.k_proj.bias", "K"},
    {QN_V_, "model.layers.%d.self_attn.v_proj.weight", "KC"},
    {QN_V_BIAS, "model.layers.%d.self_attn.v_proj.bias", "K"},
    {QN_O, "model.layers.%d.self_attn.o_proj.weight", "CQ"},
    {QN_O_BIAS, "model.layers.%d.self_attn.o_proj.bias", "C"},
    {QN_NORM2, "model.layers.%d.post_attention_layernorm.weight", "C"},
    {QN_GATE, "model.layers.%d.mlp.gate_proj.weight", "FC"},
    {QN_UP, "model.layers.%d.mlp.up_proj.weight", "FC"},
    {QN_DOWN, "model.layers.%d.mlp.down_proj.weight", "CF"},
    {QN_FINAL, "model.norm.weight", "C"},
    {QN_HEAD, "lm_head.weight", "VC"},
    {0, NULL, NULL},
};

static const qn_arch_row arches[QN_ARCH_COUNT] = {
    [QN_GPT2] = {"gpt2", "GPT2LMHeadModel", true, true, false, true, true, gpt2_weights},
    [QN_LLAMA] = {"llama", "LlamaForCausalLM", false, false, true, false, true, llama_weights},
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
    for (int i = 0; i < QN_ARCH_COUNT; i++) {
        if (strcmp(arches[i].name, name) != 0) continue;
        *arch = (qn_arch)i;
        return QN_OK;
    }
    return qn__fail(QN_BAD_ARGUMENT, "there is no architecture \"%s\"; there are gpt2 and llama",
                    name);
}

int qn__head_size(const qn_model_config *config)
{
    return config->embed / config->heads;
}

static int64_t size_of(const qn_model_config *config, char letter)
{
    switch (letter) {
    case 'V': return config->vocab;
    case 'T': return config->context;
    case 'C': return config->embed;
    case 'F': return config->ffn;
    case 'Q': return (int64_t)config->heads * qn__head_size(config);
    case 'K': return (int64_t)config->kv_heads * qn__head_size(config);
    default: return 3 * (int64_t)config->embed;
    }
}

static bool is_bias(qn_role role)
{
    switch (role) {
    case QN_NORM1_BIAS:
    case QN_QKV_BIAS:
    case QN_Q_BIAS:
    case QN_K_BIAS:
    case QN_V_BIAS:
    case QN_O_BIAS:
    case QN_NORM2_BIAS:
    case QN_UP_BIAS:
    case QN_DOWN_BIAS:
    case QN_FINAL_BIAS: return true;
    default: return false;
    }
}

static bool present(const qn_model_config *config, qn_role role)
{
    if (is_bias(role)) return config->bias;
    return role != QN_HEAD || !config->tied;
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

bool qn__weight_next(const qn_model_config *config, int *cursor, qn_weight *weight)
{
    const qn_weight_row *row;
    int layer;
    do {
        if (!locate(config, (*cursor)++, &row, &layer)) return false;
    } while (!present(config, row->role));
    *weight = (qn_weight){.role = row->role, .layer = layer};
    const char *mark = strstr(row->name, "%d");
    if (mark)
        snprintf(weight->name, sizeof weight->name, "%.*s%d%s", (int)(mark - row->name), row->name,
                 layer, mark + 2);
    else snprintf(weight->name, sizeof weight->name, "%s", row->name);
    weight->shape.rank = (int)strlen(row->shape);
    for (int i = 0; i < weight->shape.rank; i++)
        weight->shape.dim[i] = size_of(config, row->shape[i]);
    weight->decay = weight->shape.rank >= 2;
    return true;
}

/* ---- configurations ---- */

static const struct {
    qn_arch arch;
    const char *name;
    int vocab, layers, heads, kv_heads, embed, ffn, context;
} sizes[] = {
    {QN_GPT2, "124M", 50257, 12, 12, 12, 768, 3072, 1024},
    {QN_GPT2, "355M", 50257, 24, 16, 16, 1024, 4096, 1024},
    {QN_GPT2, "774M", 50257, 36, 20, 20, 1280, 5120, 1024},
    {QN_GPT2, "1.5B", 50257, 48, 25, 25, 1600, 6400, 1024},
    {QN_LLAMA, "15M", 32000, 6, 6, 6, 288, 768, 256},
    {QN_LLAMA, "42M", 32000, 8, 8, 8, 512, 1376, 1024},
    {QN_LLAMA, "110M", 32000, 12, 12, 12, 768, 2048, 1024},
    {QN_LLAMA, "1.1B", 32000, 22, 32, 4, 2048, 5632, 2048},
};

qn_status qn_model_config_named(qn_arch arch, const char *size_name, qn_model_config *config)
{
    QN_CHECK((unsigned)arch < QN_ARCH_COUNT, "architecture %d does not exist", (int)arch);
    *config = (qn_model_config){.size = sizeof *config,
                                .arch = arch,
                                .vocab = 256,
                                .layers = 4,
                                .heads = 4,
                                .kv_heads = 4,
                                .embed = 128,
                                .ffn = arch == QN_GPT2 ? 512 : 384,
                                .context = 256,
                                .norm_eps = 1e-5f,
                                .rope_theta = 10000.0f,
                                .bias = arch == QN_GPT2,
                                .tied = true,
                                .bos = -1,
                                .eos = -1};
    if (!size_name) return QN_OK;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (sizes[i].arch != arch || strcmp(sizes[i].name, size_name) != 0) continue;
        config->vocab = sizes[i].vocab;
        config->layers = sizes[i].layers;
        config->heads = sizes[i].heads;
        config->kv_heads = sizes[i].kv_heads;
        config->embed = sizes[i].embed;
        config->ffn = sizes[i].ffn;
        config->context = sizes[i].context;
        config->tied = arch == QN_GPT2 || strcmp(size_name, "1.1B") != 0;
        return QN_OK;
    }
    return qn__fail(
        QN_BAD_ARGUMENT,
        "%s has no size \"%s\"; gpt2 has 124M 355M 774M 1.5B, llama has 15M 42M 110M 1.1B",
        qn_arch_name(arch), size_name);
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
    QN_CHECK(c->heads > 0 && c->embed % c->heads == 0, "embed %d is not a multiple of %d heads",
             c->embed, c->heads);
    QN_CHECK(c->kv_heads > 0 && c->heads % c->kv_heads == 0,
             "%d heads are not a multiple of %d kv-heads", c->heads, c->kv_heads);
    QN_CHECK(c->ffn > 0 && c->ffn < limit, "ffn %d is outside [1, 2^24)", c->ffn);
    QN_CHECK(c->context > 0 && c->context < limit, "context %d is outside [1, 2^24)", c->context);
    QN_CHECK(c->norm_eps > 0, "norm_eps %g must be above 0", (double)c->norm_eps);
    const qn_arch_row *arch = qn__arch(c->arch);
    QN_CHECK(arch->learned_positions || qn__head_size(c) % 2 == 0,
             "rotary positions need an even head size, not %d", qn__head_size(c));
    QN_CHECK(!arch->learned_positions || c->kv_heads == c->heads,
             "%s has no grouped heads: leave out --kv-heads", arch->name);
    QN_CHECK(arch->learned_positions || c->rope_theta > 0, "rope_theta %g must be above 0",
             (double)c->rope_theta);
    return QN_OK;
}

int64_t qn_model_parameters(const qn_model_config *config)
{
    int64_t count = 0;
    qn_weight weight;
    for (int cursor = 0; qn__weight_next(config, &cursor, &weight);)
        count += qn_shape_elements(&weight.shape);
    return count;
}

double qn_model_flops_per_token(const qn_model_config *config)
{
    double matrices = 0;
    qn_weight weight;
    for (int cursor = 0; qn__weight_next(config, &cursor, &weight);) {
        bool looked_up = weight.role == QN_POSITIONS || (weight.role == QN_TOKENS && !config->tied);
        if (weight.shape.rank >= 2 && !looked_up)
            matrices += (double)qn_shape_elements(&weight.shape);
    }
    double width = (double)config->heads * qn__head_size(config); /* H D */
    return 6 * matrices + 6.0 * config->layers * width * (config->context + 1.0);
}
