#include "model/weights.h"

#include "base/check.h"
#include "model/adapter.h"
#include "numeric/blocks.h"
#include "numeric/blocks.h"
#include "numeric/half.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

/* llm.c's name for a GPT-2 weight. */
const char *qn__llmc_weight_name(qn_role role)
{
    static const char *const names[QN_ROLE_COUNT] = {
        [QN_TOKENS] = "wte",   [QN_POSITIONS] = "wpe",
        [QN_NORM1] = "ln1w",   [QN_NORM1_BIAS] = "ln1b",
        [QN_QKV] = "qkvw",     [QN_QKV_BIAS] = "qkvb",
        [QN_O] = "attprojw",   [QN_O_BIAS] = "attprojb",
        [QN_NORM2] = "ln2w",   [QN_NORM2_BIAS] = "ln2b",
        [QN_UP] = "fcw",       [QN_UP_BIAS] = "fcb",
        [QN_DOWN] = "fcprojw", [QN_DOWN_BIAS] = "fcprojb",
        [QN_FINAL] = "lnfw",   [QN_FINAL_BIAS] = "lnfb"};
    return names[role];
}

/* GGUF's dimensions are in the other order. */
qn_range qn__range_of_gguf(const qn_gguf_tensor *tensor)
{
    const qn_ggml_traits *traits = qn__ggml_traits(tensor->type);
    qn_range range = {.name = tensor->name,
                      .dtype_name = traits->name,
                      .dtype = traits->dtype,
                      .rank = tensor->rank,
                      .data = tensor->data,
                      .bytes = tensor->bytes,
                      .offset = tensor->file_offset};
    for (int i = 0; i < tensor->rank; i++) range.dim[i] = tensor->ne[tensor->rank - 1 - i];
    return range;
}

static const qn_range *find_in_folder(const qn_hf_folder *folder, const char *name)
{
    const qn_range *range = qn__hf_folder_find(folder, name);
    if (range) return range;
    /* Some folders hold the inner model only: "wte.weight", "layers.0...". */
    const char *dot = strchr(name, '.');
    return dot ? qn__hf_folder_find(folder, dot + 1) : NULL;
}

/* The name of a weight in the file; "" where it has none. */
static const char *name_in_file(const qn_weight_source *source, const qn_weight *weight, char *text,
                                size_t bytes)
{
    const char *name = weight->name;
    switch (source->file->kind) {
    case QN_MODEL_FILE_GGUF: return qn__weight_gguf(source->config, weight, text, bytes);
    case QN_MODEL_FILE_LLMC:
        name = qn__llmc_weight_name(weight->role);
        snprintf(text, bytes, name && weight->layer >= 0 ? "%s.%d" : "%s", name ? name : "",
                 weight->layer);
        return text;
    default: return name;
    }
}

static bool find(const qn_weight_source *source, const char *name, qn_range *range)
{
    const qn_model_file *file = source->file;
    const qn_range *found = NULL;
    const qn_gguf_tensor *tensor;
    switch (file->kind) {
    case QN_MODEL_FILE_HF_FOLDER: found = find_in_folder(file->hf_folder, name); break;
    case QN_MODEL_FILE_LLAMA2C: found = qn__llama2c_find(file->llama2c, name); break;
    case QN_MODEL_FILE_LLMC: found = qn__llmc_find(file->llmc, name); break;
    case QN_MODEL_FILE_GGUF:
        tensor = qn__gguf_tensor(file->gguf, name);
        if (tensor) *range = qn__range_of_gguf(tensor);
        return tensor != NULL;
    case QN_MODEL_FILE_CHECKPOINT:
        found = qn__safetensors_find(qn__checkpoint_file(file->checkpoint, "weights.safetensors"),
                                     name);
        break;
    default: break;
    }
    if (found) *range = *found;
    return found != NULL;
}

void qn__to_f32(const uint8_t *from, qn_dtype dtype, int64_t count, float *to)
{
    if (dtype == QN_F32) {
        memcpy(to, from, (size_t)count * 4);
        return;
    }
    if (qn_dtype_is_block(dtype)) {
        qn_status status = qn__blocks_decode(dtype, from, count, to);
        QN_ASSERT(status == QN_OK); /* qn__range_desc has seen whole blocks */
        (void)status;
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, from + i * 2, 2);
        to[i] = dtype == QN_F16 ? qn__f16_to_f32(half) : qn__bf16_to_f32(half);
    }
}

static qn_status to_f32(const qn_range *range, int64_t count, float *to)
{
    if (qn_dtype_is_block(range->dtype))
        return qn__blocks_decode(range->dtype, range->data, count, to);
    qn__to_f32(range->data, range->dtype, count, to);
    return QN_OK;
}

static qn_status check_range(const qn_range *range, const qn_weight *weight, const qn_shape *want,
                             const char *path)
{
    qn_desc desc;
    char got[96];
    bool known = range->dtype == QN_F32 || range->dtype == QN_F16 || range->dtype == QN_BF16 ||
                 (range->dtype < QN_DTYPE_COUNT && qn_dtype_is_block(range->dtype));
    if (!known)
        return qn__fail(QN_UNSUPPORTED,
                        "%s: tensor %s is %s; f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q2_K "
                        "to q6_K, iq4_nl, iq4_xs and mxfp4 are read",
                        path, range->name, range->dtype_name);
    QN_TRY(qn__range_desc(range, path, &desc));
    bool padded = weight->role == QN_TOKENS && desc.shape.rank == 2 &&
                  desc.shape.dim[0] >= want->dim[0] && desc.shape.dim[1] == want->dim[1];
    bool one_row = want->rank == 2 && want->dim[0] == 1 && desc.shape.rank == 1 &&
                   desc.shape.dim[0] == want->dim[1];
    if (!qn_shape_equal(&desc.shape, want) && !padded && !one_row)
        return qn__fail(QN_BAD_DATA, "%s: tensor %s is %s, which does not fit the configuration",
                        path, range->name, qn__range_text(range, got, sizeof got));
    return QN_OK;
}

static void transpose(const float *from, int64_t rows, int64_t cols, float *to)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) to[c * rows + r] = from[r * cols + c];
}

/* llm.c and GGUF store linear weights [out, in]; the store keeps Hugging Face's [in, out] for
 * GPT-2.
 */
static bool is_turned(const qn_weight_source *source, const qn_weight *weight)
{
    qn_model_file_kind kind = source->file->kind;
    return (kind == QN_MODEL_FILE_LLMC || kind == QN_MODEL_FILE_GGUF) &&
           qn__arch(source->config->arch)->in_out && weight->shape.rank == 2 && weight->layer >= 0;
}

qn_status qn__weights_locate(const qn_weight_source *source, const qn_weight *weight,
                             qn_range *range, bool *turned)
{
    qn_shape shape = weight->shape;
    char text[128];
    const char *name = name_in_file(source, weight, text, sizeof text);
    if (!find(source, name, range))
        return qn__fail(QN_BAD_DATA, "%s: tensor %s is missing", source->path, name);
    *turned = is_turned(source, weight);
    if (*turned) {
        shape.dim[0] = weight->shape.dim[1];
        shape.dim[1] = weight->shape.dim[0];
    }
    return check_range(range, weight, &shape, source->path);
}

/* A stack whose matrices the file has one by one? */
static bool is_split(const qn_weight_source *source, const qn_weight *weight)
{
    char text[128];
    qn_range range;
    return qn__is_stack(weight->role) && source->file->kind != QN_MODEL_FILE_GGUF &&
           !find(source, name_in_file(source, weight, text, sizeof text), &range);
}

/* Matrix `expert` of a stack. */
static qn_status locate_expert(const qn_weight_source *source, const qn_weight *weight,
                               int64_t expert, qn_range *range)
{
    char name[128];
    qn_shape shape = {.rank = 2, .dim = {weight->shape.dim[1], weight->shape.dim[2]}};
    if (!find(source, qn__expert_name(weight, expert, name, sizeof name), range))
        return qn__fail(QN_BAD_DATA, "%s: tensor %s is missing", source->path, name);
    return check_range(range, weight, &shape, source->path);
}

static qn_status check_weight(const qn_weight_source *source, const qn_weight *weight)
{
    qn_range range;
    bool turned;
    if (!is_split(source, weight)) return qn__weights_locate(source, weight, &range, &turned);
    for (int64_t e = 0; e < weight->shape.dim[0]; e++)
        QN_TRY(locate_expert(source, weight, e, &range));
    return QN_OK;
}

qn_status qn__weights_check(const qn_weight_source *source)
{
    qn_weight weight;
    for (int cursor = 0; source->file && qn__weight_next(source->config, &cursor, &weight);)
        QN_TRY(check_weight(source, &weight));
    return source->file && source->file->kind == QN_MODEL_FILE_GGUF
               ? qn__gguf_check_names(source->file->gguf, source->config)
               : QN_OK;
}

static qn_status fetch_experts(const qn_weight_source *source, const qn_weight *weight,
                               float *values)
{
    qn_range range;
    int64_t each = weight->shape.dim[1] * weight->shape.dim[2];
    for (int64_t e = 0; e < weight->shape.dim[0]; e++) {
        QN_TRY(locate_expert(source, weight, e, &range));
        QN_TRY(to_f32(&range, each, values + e * each));
    }
    return QN_OK;
}

static qn_status fetch_from_file(const qn_weight_source *source, const qn_weight *weight,
                                 float *values)
{
    qn_range range;
    bool turned;
    if (is_split(source, weight)) return fetch_experts(source, weight, values);
    QN_TRY(qn__weights_locate(source, weight, &range, &turned));
    int64_t count = qn_shape_elements(&weight->shape);
    float *plain = turned ? malloc((size_t)count * sizeof *plain + 1) : values;
    if (!plain)
        return qn__fail(QN_OS_ERROR, "%s: no memory for %lld numbers", source->path,
                        (long long)count);
    qn_status status = to_f32(&range, count, plain);
    bool plus_one = source->file->kind == QN_MODEL_FILE_HF_FOLDER && qn__is_norm(weight->role) &&
                    qn__arch(source->config->arch)->plus_one;
    for (int64_t i = 0; plus_one && i < count; i++) plain[i] += 1;
    if (turned) {
        transpose(plain, weight->shape.dim[1], weight->shape.dim[0], values);
        free(plain);
    }
    if (status != QN_OK || !source->adapter) return status;
    return qn__adapter_fold(source->adapter, source->config, weight, values);
}

static qn_dtype dtype_in_file(const qn_weight_source *source, const qn_weight *weight)
{
    char text[128];
    qn_range range;
    bool split = is_split(source, weight);
    bool there = find(source,
                      split ? qn__expert_name(weight, 0, text, sizeof text)
                            : name_in_file(source, weight, text, sizeof text),
                      &range);
    return there && (range.dtype == QN_F16 || range.dtype == QN_BF16) ? range.dtype : QN_F32;
}

qn_weight_source qn__weights_of_file(const qn_model_file *file, const qn_model_config *config,
                                     const char *path)
{
    return (qn_weight_source){.fetch = fetch_from_file,
                              .dtype = dtype_in_file,
                              .config = config,
                              .file = file,
                              .path = path};
}

static qn_status from_llama2c(const qn_llama2c_config *f, qn_model_config *c)
{
    QN_TRY(qn_model_config_named(QN_LLAMA, NULL, c));
    c->vocab = f->vocab;
    c->layers = f->layers;
    c->heads = f->heads;
    c->kv_heads = f->kv_heads;
    c->embed = f->dim;
    c->ffn = f->hidden_dim;
    c->context = f->max_tokens;
    c->tied = f->tied;
    c->rope_pairs = f->rope_interleaved;
    c->bos = 1;
    c->eos = 2;
    return QN_OK;
}

static qn_status from_llmc(const qn_llmc_config *f, qn_model_config *c)
{
    QN_TRY(qn_model_config_named(QN_GPT2, NULL, c));
    c->vocab = f->vocab;
    c->layers = f->layers;
    c->heads = c->kv_heads = f->heads;
    c->embed = f->channels;
    c->ffn = 4 * f->channels;
    c->context = f->max_tokens;
    c->bos = c->eos = f->vocab == 50257 ? 50256 : -1;
    return QN_OK;
}

static qn_status from_checkpoint(const qn_checkpoint *checkpoint, qn_model_config *config)
{
    const char *folder = qn__checkpoint_folder(checkpoint);
    const json_t *state = qn__checkpoint_state(checkpoint),
                 *saved = json_object_get(state, "config");
    if (json_object_get(state, "lora"))
        return qn__fail(QN_UNSUPPORTED,
                        "%s holds an adapter, not a model: end the run, or resume it; its --out "
                        "then has the adapter for --adapter",
                        folder);
    if (!saved || !qn__checkpoint_file(checkpoint, "weights.safetensors"))
        return qn__fail(
            QN_UNSUPPORTED,
            "%s does not say what model it is of: resume its run once with this version", folder);
    return qn__config_from_json(saved, folder, config);
}

qn_status qn__config_from_file(const qn_model_file *file, const char *path, qn_model_config *config)
{
    qn_status status;
    switch (file->kind) {
    case QN_MODEL_FILE_HF_FOLDER:
        return qn__config_from_json(qn__hf_folder_config(file->hf_folder),
                                    qn__hf_folder_config_path(file->hf_folder), config);
    case QN_MODEL_FILE_CHECKPOINT: return from_checkpoint(file->checkpoint, config);
    case QN_MODEL_FILE_GGUF: return qn__config_from_gguf(file->gguf, config);
    case QN_MODEL_FILE_LLAMA2C:
        status = from_llama2c(qn__llama2c_config(file->llama2c), config);
        break;
    case QN_MODEL_FILE_LLMC: status = from_llmc(qn__llmc_config(file->llmc), config); break;
    default:
        return qn__fail(QN_UNSUPPORTED,
                        "%s is a %s: models are read from Hugging Face folders, GGUF files, "
                        "checkpoints of llama2.c, of llm.c and of our own",
                        path, qn__model_file_kind_name(file->kind));
    }
    if (status == QN_OK) status = qn_model_config_check(config);
    return status == QN_OK ? QN_OK : qn__wrap(QN_BAD_DATA, "%s: ", path);
}
