#include "model/adapter.h"

#include "base/check.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/str.h"
#include "model/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG "adapter_config.json"
#define TENSORS "adapter_model.safetensors"

/* ---- reading ---- */

/* Keys that must be absent, null, false, or empty. */
static qn_status check_unused(const json_t *json, const char *origin)
{
    static const char *const unknown[] = {
        "use_dora",          "modules_to_save",         "rank_pattern",
        "alpha_pattern",     "layers_to_transform",     "layer_replication",
        "target_parameters", "trainable_token_indices", "lora_bias",
        "use_qalora",        "exclude_modules"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        const json_t *value = json_object_get(json, unknown[i]);
        bool empty = !value || json_is_null(value) || json_is_false(value) ||
                     (json_is_object(value) && json_object_size(value) == 0) ||
                     (json_is_array(value) && json_array_size(value) == 0);
        if (!empty)
            return qn__fail(QN_UNSUPPORTED, "%s: \"%s\" is not supported", origin, unknown[i]);
    }
    return QN_OK;
}

/* A list of names, or one; a pattern is refused as a name that there is not. */
static qn_status read_targets(const json_t *json, const char *origin, const qn_model_config *config,
                              qn_lora *lora)
{
    const json_t *targets = json_object_get(json, "target_modules");
    qn_str text = {0};
    if (json_is_string(targets)) qn__str_add(&text, "%s", json_string_value(targets));
    for (size_t i = 0; json_is_array(targets) && i < json_array_size(targets); i++) {
        const char *name = json_string_value(json_array_get(targets, i));
        qn__str_add(&text, "%s,", name ? name : "?");
    }
    qn_status status = text.data && *text.data
                           ? qn__lora_targets(config, text.data, lora)
                           : qn__fail(QN_BAD_DATA, "\"target_modules\" is missing or empty");
    qn__str_free(&text);
    return status == QN_OK ? QN_OK : qn__wrap(QN_UNSUPPORTED, "%s: ", origin);
}

static qn_status read_config(const json_t *json, const char *origin, const qn_model_config *config,
                             qn_adapter *adapter)
{
    const char *type = "", *bias = "none", *base = NULL;
    int64_t rank = 0;
    double alpha = 8;
    qn_lora *lora = &adapter->lora;
    QN_TRY(qn__json_string(json, origin, "peft_type", true, &type));
    if (strcmp(type, "LORA") != 0)
        return qn__fail(QN_UNSUPPORTED, "%s: peft_type \"%.80s\"; LORA is known", origin, type);
    QN_TRY(qn__json_i64(json, origin, "r", true, 1, 65536, &rank));
    QN_TRY(qn__json_f64(json, origin, "lora_alpha", false, &alpha));
    QN_TRY(qn__json_bool(json, origin, "use_rslora", false, &lora->rank_stable));
    QN_TRY(qn__json_string(json, origin, "bias", false, &bias));
    if (strcmp(bias, "none") != 0)
        return qn__fail(QN_UNSUPPORTED, "%s: bias \"%.80s\"; none is supported", origin, bias);
    QN_TRY(check_unused(json, origin));
    lora->rank = (int32_t)rank;
    lora->alpha = (float)alpha;
    QN_TRY(read_targets(json, origin, config, lora));
    QN_TRY(qn__json_string(json, origin, "base_model_name_or_path", false, &base));
    if (base && !(adapter->base = strdup(base))) return qn__fail(QN_OS_ERROR, "out of memory");
    return QN_OK;
}

static qn_status check_part(const qn_adapter *adapter, const qn_weight *part)
{
    const char *path = qn__safetensors_path(adapter->file);
    const qn_range *range = qn__safetensors_find(adapter->file, part->name);
    qn_desc desc;
    char text[96];
    if (!range) return qn__fail(QN_BAD_DATA, "%s: tensor %s is missing", path, part->name);
    QN_TRY(qn__range_desc(range, path, &desc));
    if (!qn_shape_equal(&desc.shape, &part->shape))
        return qn__fail(QN_BAD_DATA,
                        "%s: tensor %s is %s, which does not fit this model and rank %d: was it "
                        "made for another model?",
                        path, part->name, qn__range_text(range, text, sizeof text),
                        adapter->lora.rank);
    if (desc.dtype != QN_F32 && desc.dtype != QN_F16 && desc.dtype != QN_BF16)
        return qn__fail(QN_UNSUPPORTED, "%s: tensor %s is %s; f32, f16 and bf16 are read", path,
                        part->name, range->dtype_name);
    return QN_OK;
}

static qn_status check_all(const qn_adapter *adapter, const qn_model_config *config)
{
    size_t count = 0, there = qn__safetensors_count(adapter->file);
    qn_weight part;
    for (int cursor = 0; qn__trainable_next(config, &adapter->lora, &cursor, &part); count++)
        QN_TRY(check_part(adapter, &part));
    if (count == there) return QN_OK;
    return qn__fail(QN_UNSUPPORTED,
                    "%s: %zu tensors, of which %zu belong to linear layers that "
                    "adapters are supported for",
                    qn__safetensors_path(adapter->file), there, count);
}

qn_status qn__adapter_open(const char *folder, const qn_model_config *config, qn_adapter *adapter)
{
    *adapter = (qn_adapter){0};
    char *path = qn__path_join(folder, CONFIG), *tensors = qn__path_join(folder, TENSORS);
    json_t *json = NULL;
    qn_status status = path && tensors ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
    if (status == QN_OK && !qn__is_file(path))
        status = qn__fail(QN_BAD_DATA, "%s has no " CONFIG ": not an adapter's folder", folder);
    if (status == QN_OK) status = qn__json_load(path, &json);
    if (status == QN_OK) status = read_config(json, path, config, adapter);
    if (status == QN_OK) status = qn__safetensors_open(tensors, &adapter->file);
    if (status == QN_OK) status = check_all(adapter, config);
    json_decref(json);
    free(path);
    free(tensors);
    if (status != QN_OK) qn__adapter_close(adapter);
    return status;
}

void qn__adapter_close(qn_adapter *adapter)
{
    qn__safetensors_close(&adapter->file);
    free(adapter->base);
    *adapter = (qn_adapter){0};
}

qn_status qn__adapter_fetch(const qn_adapter *adapter, const qn_weight *part, float *values)
{
    const qn_range *range = qn__safetensors_find(adapter->file, part->name);
    if (!range) return qn__fail(QN_INTERNAL, "adapter tensor %s", part->name);
    qn__to_f32(range->data, range->dtype, qn_shape_elements(&part->shape), values);
    return QN_OK;
}

qn_status qn__adapter_fold(const qn_adapter *adapter, const qn_model_config *config,
                           const qn_weight *weight, float *values)
{
    qn_weight a, b;
    if (!qn__lora_has(&adapter->lora, weight->role)) return QN_OK;
    qn__lora_pair(config, &adapter->lora, weight, &a, &b);
    size_t count_a = (size_t)qn_shape_elements(&a.shape),
           count_b = (size_t)qn_shape_elements(&b.shape);
    float *parts = malloc((count_a + count_b) * sizeof *parts + 1);
    if (!parts) return qn__fail(QN_OS_ERROR, "out of memory");
    qn_status status = qn__adapter_fetch(adapter, &a, parts);
    if (status == QN_OK) status = qn__adapter_fetch(adapter, &b, parts + count_a);
    if (status == QN_OK)
        qn__lora_fold(&adapter->lora, qn__arch(config->arch)->in_out, &weight->shape, parts,
                      parts + count_a, values);
    free(parts);
    return status;
}

/* ---- writing ---- */

static json_t *to_json(const qn_model_config *config, const qn_lora *lora, const char *base)
{
    json_t *targets = json_array();
    const char *name;
    for (int i = 0; targets && (name = qn__lora_target(config, lora, i)); i++)
        json_array_append_new(targets, json_string(name));
    return json_pack("{s:s,s:s,s:s,s:i,s:f,s:f,s:o,s:s,s:b,s:b,s:b,s:b,s:n}", "peft_type", "LORA",
                     "task_type", "CAUSAL_LM", "base_model_name_or_path", base, "r", lora->rank,
                     "lora_alpha", (double)lora->alpha, "lora_dropout", (double)lora->dropout,
                     "target_modules", targets, "bias", "none", "fan_in_fan_out",
                     qn__arch(config->arch)->in_out, "use_rslora", lora->rank_stable,
                     "init_lora_weights", true, "inference_mode", true, "modules_to_save");
}

static qn_status write_tensors(qn_store *store, const qn_model_config *config, const qn_lora *lora,
                               qn_safetensors_writer *writer)
{
    qn_weight part;
    QN_TRY(qn__safetensors_writer_meta(writer, "format", "pt"));
    for (int cursor = 0; qn__trainable_next(config, lora, &cursor, &part);)
        QN_TRY(qn__safetensors_writer_declare(writer, part.name, QN_F32, &part.shape));
    for (int cursor = 0; qn__trainable_next(config, lora, &cursor, &part);) {
        size_t bytes = (size_t)qn_shape_elements(&part.shape) * sizeof(float);
        float *values = malloc(bytes + 1);
        qn_status status = values ? qn_store_read(store, part.name, values, bytes)
                                  : qn__fail(QN_OS_ERROR, "out of memory");
        if (status == QN_OK) status = qn__safetensors_writer_add(writer, part.name, values, bytes);
        free(values);
        QN_TRY(status);
    }
    return QN_OK;
}

qn_status qn__adapter_save(qn_store *store, const qn_model_config *config, const qn_lora *lora,
                           const char *base, const char *folder)
{
    QN_TRY(qn__make_folders(folder));
    char *path = qn__path_join(folder, TENSORS), *config_path = qn__path_join(folder, CONFIG);
    json_t *json = to_json(config, lora, base);
    qn_safetensors_writer *writer = NULL;
    qn_status status = path && config_path && json ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
    if (status == QN_OK) status = qn__safetensors_writer_create(path, &writer);
    if (status == QN_OK) status = write_tensors(store, config, lora, writer);
    if (status == QN_OK) status = qn__safetensors_writer_finish(&writer);
    qn__safetensors_writer_destroy(&writer);
    if (status == QN_OK) status = qn__json_save(config_path, json);
    json_decref(json);
    free(path);
    free(config_path);
    return status;
}
