/* Models as GGUF: metadata of the configuration, of the tokenizer, and tensors under ggml's names
 * in ggml's layouts, so that llama.cpp runs the file. */
#include "base/check.h"
#include "model/network.h"
#include "model/weights.h"
#include "text/save.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY = 96 };

/* ---- metadata of the configuration ---- */

static qn_status put_i32(qn_gguf_writer *writer, const char *arch, const char *ending,
                         int32_t value)
{
    char key[KEY];
    snprintf(key, sizeof key, "%s.%s", arch, ending);
    return qn__gguf_writer_u32(writer, key, (uint32_t)value);
}

static qn_status put_f32(qn_gguf_writer *writer, const char *arch, const char *ending, float value)
{
    char key[KEY];
    snprintf(key, sizeof key, "%s.%s", arch, ending);
    return qn__gguf_writer_f32(writer, key, value);
}

/* What the keys of GGUF cannot say, or llama.cpp does not read. */
static qn_status fits_gguf(const qn_model_config *c)
{
    const qn_arch_row *arch = qn__arch(c->arch);
    const char *why = NULL;
    double size = c->layers == QN_GEMMA2_27B_LAYERS && c->arch == QN_GEMMA2
                      ? (double)c->embed / c->heads
                      : (double)qn__head_size(c);
    double scale =
        c->attention_scale > 0 ? (double)c->attention_scale : 1 / sqrt((double)qn__head_size(c));
    bool factors = c->rope.scaling == QN_ROPE_LLAMA3 || c->rope.scaling == QN_ROPE_FACTORS;
    bool ramp = c->rope.scaling == QN_ROPE_YARN && !c->rope.whole_pairs;
    if (c->gelu_erf) why = "the exact GELU";
    else if (arch->experts && c->expert_norm != arch->expert_norm)
        why = c->expert_norm ? "weights of experts that are divided by their sum"
                             : "weights of experts that are not divided by their sum";
    else if (fabs(scale * sqrt(size) - 1) > 1e-4) why = "a scale of scores of its own";
    else if (!arch->learned_positions && factors && !arch->gguf_factors)
        why = "factors of rotary frequencies";
    else if (!arch->learned_positions && ramp) why = "a yarn ramp that begins inside a pair";
    if (!why) return QN_OK;
    return qn__fail(QN_UNSUPPORTED, "a %s with %s cannot be said in GGUF", arch->name, why);
}

static qn_status put_scaling(const qn_model_config *c, qn_gguf_writer *writer, const char *arch)
{
    static const char *const names[QN_ROPE_SCALING_COUNT] = {
        [QN_ROPE_LINEAR] = "linear", [QN_ROPE_YARN] = "yarn", [QN_ROPE_FACTORS] = "longrope"};
    const qn_rope_rule *rule = &c->rope;
    char key[KEY];
    bool same = memcmp(rule->factors[0], rule->factors[1], sizeof rule->factors[0]) == 0;
    if (!names[rule->scaling] || (rule->scaling == QN_ROPE_FACTORS && same)) return QN_OK;
    snprintf(key, sizeof key, "%s.rope.scaling.type", arch);
    QN_TRY(qn__gguf_writer_text(writer, key, names[rule->scaling]));
    QN_TRY(put_f32(writer, arch, "rope.scaling.factor", rule->factor));
    if (rule->scaling == QN_ROPE_LINEAR) return QN_OK;
    QN_TRY(put_i32(writer, arch, "rope.scaling.original_context_length", rule->original));
    double usual = 0.1 * log((double)rule->factor) + 1, attention = (double)rule->attention;
    if (rule->scaling == QN_ROPE_FACTORS)
        return put_f32(writer, arch, "rope.scaling.attn_factor", rule->attention);
    if (fabs(attention / usual - 1) > 1e-6)
        QN_TRY(put_f32(writer, arch, "rope.scaling.attn_factor", (float)(attention / usual)));
    if (rule->low != 1) QN_TRY(put_f32(writer, arch, "rope.scaling.yarn_beta_slow", rule->low));
    if (rule->high != 32) QN_TRY(put_f32(writer, arch, "rope.scaling.yarn_beta_fast", rule->high));
    return QN_OK;
}

static qn_status put_experts(const qn_model_config *c, qn_gguf_writer *writer, const char *arch)
{
    if (c->experts == 0) return QN_OK;
    QN_TRY(put_i32(writer, arch, "expert_count", c->experts));
    QN_TRY(put_i32(writer, arch, "expert_used_count", c->experts_used));
    if (c->arch != QN_MIXTRAL)
        QN_TRY(put_i32(writer, arch, "expert_feed_forward_length", c->expert_ffn));
    if (c->shared_ffn == 0) return QN_OK;
    return put_i32(writer, arch, "expert_shared_feed_forward_length", c->shared_ffn);
}

static qn_status put_window(const qn_model_config *c, qn_gguf_writer *writer, const char *arch)
{
    if (c->window <= 0) return QN_OK;
    QN_TRY(put_i32(writer, arch, "attention.sliding_window", c->window));
    if (c->window_from > 0) QN_TRY(put_i32(writer, arch, "quernel.window_from", c->window_from));
    return c->full_every > 0 ? put_i32(writer, arch, "quernel.full_every", c->full_every) : QN_OK;
}

qn_status qn__config_to_gguf(const qn_model_config *c, qn_gguf_writer *writer)
{
    const qn_arch_row *row = qn__arch(c->arch);
    const char *arch = row->gguf;
    QN_TRY(fits_gguf(c));
    QN_TRY(put_i32(writer, arch, "vocab_size", c->vocab));
    QN_TRY(put_i32(writer, arch, "context_length", c->context));
    QN_TRY(put_i32(writer, arch, "embedding_length", c->embed));
    QN_TRY(put_i32(writer, arch, "block_count", c->layers));
    QN_TRY(put_i32(writer, arch, "feed_forward_length", c->ffn));
    QN_TRY(put_i32(writer, arch, "attention.head_count", c->heads));
    QN_TRY(put_f32(writer, arch,
                   row->layer_norm ? "attention.layer_norm_epsilon"
                                   : "attention.layer_norm_rms_epsilon",
                   c->norm_eps));
    QN_TRY(put_experts(c, writer, arch));
    if (row->learned_positions) return QN_OK;
    QN_TRY(put_i32(writer, arch, "attention.head_count_kv", c->kv_heads));
    QN_TRY(put_i32(writer, arch, "attention.key_length", qn__head_size(c)));
    QN_TRY(put_i32(writer, arch, "attention.value_length", qn__head_size(c)));
    QN_TRY(put_i32(writer, arch, "rope.dimension_count", qn__head_size(c)));
    QN_TRY(put_f32(writer, arch, "rope.freq_base", c->rope_theta));
    if (c->attention_cap > 0)
        QN_TRY(put_f32(writer, arch, "attn_logit_softcapping", c->attention_cap));
    if (c->logit_cap > 0) QN_TRY(put_f32(writer, arch, "final_logit_softcapping", c->logit_cap));
    QN_TRY(put_window(c, writer, arch));
    return put_scaling(c, writer, arch);
}

bool qn__gguf_factors(const qn_model_config *c, int i, const char **name, float *factors)
{
    static const char *const names[] = {"rope_freqs.weight", "rope_factors_short.weight",
                                        "rope_factors_long.weight"};
    int pairs = qn__head_size(c) / 2;
    bool llama3 = c->rope.scaling == QN_ROPE_LLAMA3, listed = c->rope.scaling == QN_ROPE_FACTORS;
    bool same = memcmp(c->rope.factors[0], c->rope.factors[1], sizeof c->rope.factors[0]) == 0;
    *name = names[i];
    if (qn__arch(c->arch)->learned_positions) return false;
    if (listed && same == (i == 0)) {
        memcpy(factors, c->rope.factors[i == 2], (size_t)pairs * sizeof *factors);
        return true;
    }
    if (!llama3 || i != 0) return false;
    qn_model_config plain = *c;
    plain.rope = (qn_rope_rule){.scaling = QN_ROPE_PLAIN};
    for (int e = 0; e < pairs; e++)
        factors[e] = (float)(qn__rope_frequency(&plain, e) / qn__rope_frequency(c, e));
    return true;
}

/* ---- tensors ---- */

/* Vectors, and the matrices that llama.cpp wants in f32, stay f32. */
static qn_dtype dtype_of(const qn_weight_source *source, const qn_save_options *options,
                         const qn_weight *weight)
{
    if (weight->shape.rank < 2 || weight->role == QN_POSITIONS || qn__is_router(weight->role))
        return QN_F32;
    return options->dtype == QN_DTYPE_COUNT ? source->dtype(source, weight) : options->dtype;
}

static bool is_turned(const qn_model_config *c, const qn_weight *weight)
{
    return qn__arch(c->arch)->in_out && weight->shape.rank == 2 && weight->layer >= 0;
}

/* Dimensions in the file's order; the rank. */
static int dims_of(const qn_model_config *saved, const qn_weight *weight, int64_t *ne)
{
    const int rank = weight->shape.rank;
    for (int d = 0; d < rank; d++)
        ne[d] = weight->shape.dim[is_turned(saved, weight) ? d : rank - 1 - d];
    return weight->role == QN_SHARED_ROUTER ? 1 : rank; /* one row */
}

static qn_status declare(const qn_weight_source *source, const qn_save_options *options,
                         const qn_gguf_codec *codec, const qn_model_config *saved,
                         qn_gguf_writer *writer)
{
    const char *factors_name;
    float factors[QN_MAX_ROPE_PAIRS];
    int64_t pairs = qn__head_size(saved) / 2;
    qn_weight weight;
    for (int i = 0; i < 3; i++)
        if (qn__gguf_factors(saved, i, &factors_name, factors))
            QN_TRY(qn__gguf_writer_tensor(writer, factors_name, QN_GGML_F32, 1, &pairs));
    for (int cursor = 0; qn__weight_next(saved, &cursor, &weight);) {
        char name[128];
        int64_t ne[QN_GGUF_RANK] = {0};
        int rank = dims_of(saved, &weight, ne);
        (void)qn__weight_gguf(saved, &weight, name, sizeof name);
        qn_dtype dtype =
            codec ? codec->type(codec->user, name, rank, ne) : dtype_of(source, options, &weight);
        QN_TRY(qn__gguf_writer_tensor(writer, name, qn__ggml_type_of(dtype), rank, ne));
    }
    return QN_OK;
}

static void turn(const float *from, int64_t rows, int64_t cols, float *to)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) to[c * rows + r] = from[r * cols + c];
}

static qn_status add_weight(const qn_weight_source *source, const qn_save_options *options,
                            const qn_gguf_codec *codec, const qn_model_config *saved,
                            const qn_weight *weight, qn_gguf_writer *writer)
{
    size_t count = (size_t)qn_shape_elements(&weight->shape), bytes = 0;
    bool turned = is_turned(saved, weight);
    char name[128];
    float *values = malloc(count * sizeof *values * (turned ? 2 : 1) + 1), *out = values;
    if (!values) return qn__fail(QN_OS_ERROR, "no memory for %zu numbers", count);
    (void)qn__weight_gguf(saved, weight, name, sizeof name);
    qn_status status = qn__weights_fetch_saved(source, saved, weight, values);
    if (status == QN_OK && turned) {
        out = values + count;
        turn(values, weight->shape.dim[0], weight->shape.dim[1], out);
    }
    if (status == QN_OK && codec) {
        int64_t ne[QN_GGUF_RANK] = {0};
        int rank = dims_of(saved, weight, ne);
        status = codec->add(codec->user, writer, name, rank, ne, out);
        free(values);
        return status;
    }
    if (status == QN_OK)
        status = qn__weights_narrow(name, out, count, dtype_of(source, options, weight), &bytes);
    if (status == QN_OK) status = qn__gguf_writer_add(writer, name, out, bytes);
    free(values);
    return status;
}

static qn_status add_all(const qn_weight_source *source, const qn_save_options *options,
                         const qn_gguf_codec *codec, const qn_model_config *saved,
                         qn_gguf_writer *writer)
{
    const char *name;
    float factors[QN_MAX_ROPE_PAIRS];
    qn_weight weight;
    int64_t total = qn_model_parameters(saved), done = 0;
    size_t bytes = (size_t)qn__head_size(saved) / 2 * sizeof *factors;
    for (int i = 0; i < 3; i++)
        if (qn__gguf_factors(saved, i, &name, factors))
            QN_TRY(qn__gguf_writer_add(writer, name, factors, bytes));
    for (int cursor = 0; qn__weight_next(saved, &cursor, &weight);) {
        QN_TRY(add_weight(source, options, codec, saved, &weight, writer));
        done += qn_shape_elements(&weight.shape);
        QN_TRY(qn__save_progress(options, done, total));
    }
    return QN_OK;
}

/* ---- the whole ---- */

/* ggml's number of the type most tensors have. */
static uint32_t file_type(const qn_weight_source *source, const qn_save_options *options,
                          const qn_model_config *saved)
{
    qn_weight weight;
    qn_dtype dtype = QN_F32;
    for (int cursor = 0; qn__weight_next(saved, &cursor, &weight);)
        if (weight.shape.rank >= 2 && weight.role != QN_POSITIONS)
            dtype = dtype_of(source, options, &weight);
    return dtype == QN_F16 ? 1 : dtype == QN_BF16 ? 32 : 0;
}

static qn_status put_tokenizer(const qn_gguf_extras *extras, const qn_model_config *saved,
                               qn_gguf_writer *writer)
{
    static const char prefix[] = "tokenizer.";
    for (size_t i = 0; extras->like && i < qn__gguf_value_count(extras->like); i++) {
        const qn_gguf_value *value = qn__gguf_value_at(extras->like, i);
        if (value->key_bytes > sizeof prefix - 1 &&
            memcmp(value->key, prefix, sizeof prefix - 1) == 0)
            QN_TRY(qn__gguf_writer_copy(writer, value));
    }
    if (extras->like) return QN_OK;
    if (!extras->tokenizer) return qn__gguf_writer_text(writer, "tokenizer.ggml.model", "no_vocab");
    QN_TRY(qn__tokenizer_to_gguf(extras->tokenizer, saved->vocab, writer));
    if (!extras->chat_template) return QN_OK;
    return qn__gguf_writer_text(writer, "tokenizer.chat_template", extras->chat_template);
}

static qn_status write_file(const qn_weight_source *source, const qn_save_options *options,
                            const qn_gguf_extras *extras, qn_gguf_writer *writer)
{
    qn_model_config saved = qn__config_as_gguf(source->config);
    QN_TRY(qn__gguf_writer_text(writer, "general.architecture", qn__arch(saved.arch)->gguf));
    QN_TRY(qn__gguf_writer_text(writer, "general.type", "model"));
    if (extras->name) QN_TRY(qn__gguf_writer_text(writer, "general.name", extras->name));
    const qn_gguf_codec *codec = extras->codec;
    const uint32_t number = file_type(source, options, &saved);
    QN_TRY(codec ? codec->head(codec->user, writer)
                 : qn__gguf_writer_u32(writer, "general.file_type", number));
    QN_TRY(qn__config_to_gguf(&saved, writer));
    QN_TRY(put_tokenizer(extras, &saved, writer));
    QN_TRY(declare(source, options, codec, &saved, writer));
    return add_all(source, options, codec, &saved, writer);
}

qn_status qn__weights_save_gguf(const qn_weight_source *source, const qn_save_options *options,
                                const qn_gguf_extras *extras, const char *path)
{
    qn_gguf_writer *writer;
    QN_TRY(qn__gguf_writer_create(path, extras->shard_bytes, &writer));
    qn_status status = write_file(source, options, extras, writer);
    if (status == QN_OK) return qn__gguf_writer_finish(&writer);
    qn__gguf_writer_destroy(&writer);
    return status;
}
