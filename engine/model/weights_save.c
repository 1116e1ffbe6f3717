/* Weights into a Hugging Face folder. */
#include "base/check.h"
#include "base/fs.h"
#include "model/weights.h"
#include "numeric/half.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows of Q and K from pairs (2i, 2i+1) to halves (i, i + D/2), which is what transformers rotates,
 * or back. */
static qn_status change_pairs(float *values, int64_t rows, int64_t cols, int head, bool to_pairs)
{
    float *copy = malloc((size_t)(head * cols) * sizeof *copy);
    if (!copy) return qn__fail(QN_OS_ERROR, "no memory for a head of %d rows", head);
    for (int64_t first = 0; first < rows; first += head) {
        float *block = values + first * cols;
        memcpy(copy, block, (size_t)(head * cols) * sizeof *copy);
        for (int i = 0; i < head; i++) {
            int pair = i < head / 2 ? 2 * i : 2 * (i - head / 2) + 1;
            memcpy(block + (to_pairs ? pair : i) * cols, copy + (to_pairs ? i : pair) * cols,
                   (size_t)cols * sizeof *copy);
        }
    }
    free(copy);
    return QN_OK;
}

static qn_status fold_from_store(const qn_weight_source *source, const qn_weight *weight,
                                 float *values)
{
    qn_weight a, b;
    qn__lora_pair(source->config, source->lora, weight, &a, &b);
    size_t count_a = (size_t)qn_shape_elements(&a.shape),
           count_b = (size_t)qn_shape_elements(&b.shape);
    float *parts = malloc((count_a + count_b) * sizeof *parts + 1);
    if (!parts) return qn__fail(QN_OS_ERROR, "out of memory");
    qn_status status = qn_store_read(source->store, a.name, parts, count_a * sizeof *parts);
    if (status == QN_OK)
        status = qn_store_read(source->store, b.name, parts + count_a, count_b * sizeof *parts);
    if (status == QN_OK)
        qn__lora_fold(source->lora, qn__arch(source->config->arch)->in_out, &weight->shape, parts,
                      parts + count_a, values);
    free(parts);
    return status;
}

static qn_status fetch_from_store(const qn_weight_source *source, const qn_weight *weight,
                                  float *values)
{
    if (qn__store_index(source->store, weight->name) < 0) return QN_OK;
    QN_TRY(qn__store_read_floats(source->store, weight->name, values,
                                 qn_shape_elements(&weight->shape)));
    return qn__lora_has(source->lora, weight->role) ? fold_from_store(source, weight, values)
                                                    : QN_OK;
}

static qn_dtype dtype_in_store(const qn_weight_source *source, const qn_weight *weight)
{
    (void)source;
    (void)weight;
    return QN_F32;
}

qn_weight_source qn__weights_of_store(qn_store *store, const qn_model_config *config)
{
    return (qn_weight_source){
        .fetch = fetch_from_store, .dtype = dtype_in_store, .config = config, .store = store};
}

qn_model_config qn__config_as_saved(const qn_model_config *config)
{
    qn_model_config saved = *config;
    saved.rope_pairs = false;
    if (config->arch == QN_GPT2) saved.bias = true;
    return saved;
}

qn_model_config qn__config_as_gguf(const qn_model_config *config)
{
    qn_model_config saved = qn__config_as_saved(config);
    saved.rope_pairs = qn__arch(config->arch)->gguf_pairs;
    return saved;
}

static bool has_weight(const qn_model_config *config, const char *name)
{
    qn_weight weight;
    for (int cursor = 0; qn__weight_next(config, &cursor, &weight);)
        if (strcmp(weight.name, name) == 0) return true;
    return false;
}

qn_status qn__weights_fetch_saved(const qn_weight_source *source, const qn_model_config *saved,
                                  const qn_weight *weight, float *values)
{
    const qn_model_config *config = source->config;
    const int64_t *dim = weight->shape.dim;
    int head = qn__head_size(config);
    memset(values, 0, (size_t)qn_shape_elements(&weight->shape) * sizeof *values);
    if (!has_weight(config, weight->name)) return QN_OK;
    QN_TRY(source->fetch(source, weight, values));
    if (config->rope_pairs == saved->rope_pairs) return QN_OK;
    if (weight->role == QN_Q || weight->role == QN_K)
        return change_pairs(values, dim[0], dim[1], head, saved->rope_pairs);
    if (weight->role == QN_Q_BIAS || weight->role == QN_K_BIAS)
        return change_pairs(values, dim[0], 1, head, saved->rope_pairs);
    return QN_OK;
}

qn_status qn__save_progress(const qn_save_options *options, int64_t done, int64_t total)
{
    if (!options->progress || options->progress(options->user, done, total)) return QN_OK;
    return qn__fail(QN_INTERRUPTED, "stopped; nothing was left behind");
}

static qn_dtype dtype_of(const qn_weight_source *source, const qn_save_options *options,
                         const qn_weight *weight)
{
    return options->dtype == QN_DTYPE_COUNT ? source->dtype(source, weight) : options->dtype;
}

qn_status qn__weights_narrow(const char *name, float *values, size_t count, qn_dtype dtype,
                             size_t *bytes)
{
    uint16_t *halves = (uint16_t *)values;
    *bytes = count * (dtype == QN_F32 ? sizeof *values : sizeof *halves);
    if (dtype == QN_F32) return QN_OK;
    for (size_t i = 0; i < count; i++) {
        float value;
        memcpy(&value, &values[i], sizeof value);
        uint16_t half = dtype == QN_F16 ? qn__f32_to_f16(value) : qn__f32_to_bf16(value);
        if (dtype == QN_F16 && isfinite(value) && (half & 0x7C00u) == 0x7C00u)
            return qn__fail(QN_UNSUPPORTED,
                            "tensor %s has %g, which f16 cannot hold: use --dtype bf16", name,
                            (double)value);
        memcpy(&halves[i], &half, sizeof half);
    }
    return QN_OK;
}

/* In how many tensors of a folder a weight is written. */
static int64_t pieces_of(const qn_weight *weight)
{
    return qn__is_stack(weight->role) ? weight->shape.dim[0] : 1;
}

static qn_status declare_one(const qn_weight_source *source, const qn_save_options *options,
                             const qn_weight *weight, qn_safetensors_writer *writer)
{
    char name[128];
    qn_dtype dtype = dtype_of(source, options, weight);
    qn_shape shape = weight->shape;
    if (qn__is_stack(weight->role))
        shape = (qn_shape){.rank = 2, .dim = {shape.dim[1], shape.dim[2]}};
    for (int64_t e = 0; e < pieces_of(weight); e++)
        QN_TRY(qn__safetensors_writer_declare(writer, qn__expert_name(weight, e, name, sizeof name),
                                              dtype, &shape));
    return QN_OK;
}

static qn_status add_pieces(const qn_weight *weight, float *values, qn_dtype dtype,
                            qn_safetensors_writer *writer)
{
    char name[128];
    const int64_t pieces = pieces_of(weight);
    const size_t each = (size_t)(qn_shape_elements(&weight->shape) / pieces);
    for (int64_t e = 0; e < pieces; e++) {
        size_t bytes;
        float *piece = values + (size_t)e * each;
        (void)qn__expert_name(weight, e, name, sizeof name);
        QN_TRY(qn__weights_narrow(name, piece, each, dtype, &bytes));
        QN_TRY(qn__safetensors_writer_add(writer, name, piece, bytes));
    }
    return QN_OK;
}

static qn_status write_one(const qn_weight_source *source, const qn_save_options *options,
                           const qn_weight *weight, qn_safetensors_writer *writer)
{
    size_t count = (size_t)qn_shape_elements(&weight->shape);
    float *values = malloc(count * sizeof *values + 1);
    if (!values) return qn__fail(QN_OS_ERROR, "no memory for %zu numbers", count);
    qn_model_config saved = qn__config_as_saved(source->config);
    qn_status status = qn__weights_fetch_saved(source, &saved, weight, values);
    bool plus_one = qn__arch(saved.arch)->plus_one && qn__is_norm(weight->role);
    for (size_t i = 0; plus_one && i < count; i++) values[i] -= 1;
    if (status == QN_OK)
        status = add_pieces(weight, values, dtype_of(source, options, weight), writer);
    free(values);
    return status;
}

static qn_status write_all(const qn_weight_source *source, const qn_save_options *options,
                           qn_safetensors_writer *writer)
{
    qn_model_config saved = qn__config_as_saved(source->config);
    qn_weight weight;
    int64_t total = qn_model_parameters(&saved), done = 0;
    QN_TRY(qn__safetensors_writer_meta(writer, "format", "pt"));
    for (int cursor = 0; qn__weight_next(&saved, &cursor, &weight);)
        QN_TRY(declare_one(source, options, &weight, writer));
    for (int cursor = 0; qn__weight_next(&saved, &cursor, &weight);) {
        QN_TRY(write_one(source, options, &weight, writer));
        done += qn_shape_elements(&weight.shape);
        QN_TRY(qn__save_progress(options, done, total));
    }
    return QN_OK;
}

/* "torch_dtype" is that of the token embedding. */
static json_t *config_with_dtype(const qn_weight_source *source, const qn_save_options *options)
{
    static const char *const names[] = {
        [QN_F32] = "float32", [QN_F16] = "float16", [QN_BF16] = "bfloat16"};
    qn_weight first;
    int cursor = 0;
    qn_model_config config = *source->config;
    config.rope_pairs = false;
    json_t *json = qn__config_to_json(&config);
    if (json && qn__weight_next(source->config, &cursor, &first))
        json_object_set_new(json, "torch_dtype",
                            json_string(names[dtype_of(source, options, &first)]));
    return json;
}

qn_status qn__weights_save_folder(const qn_weight_source *source, const qn_save_options *options,
                                  const char *folder)
{
    QN_TRY(qn__make_folders(folder));
    char *path = qn__path_join(folder, "model.safetensors"),
         *config_path = qn__path_join(folder, "config.json");
    qn_safetensors_writer *writer = NULL;
    json_t *json = config_with_dtype(source, options);
    qn_status status = path && config_path && json ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
    if (status == QN_OK) status = qn__safetensors_writer_create(path, &writer);
    if (status == QN_OK) status = write_all(source, options, writer);
    if (status == QN_OK) status = qn__safetensors_writer_finish(&writer);
    qn__safetensors_writer_destroy(&writer);
    if (status == QN_OK) status = qn__json_save(config_path, json);
    json_decref(json);
    free(path);
    free(config_path);
    return status;
}
