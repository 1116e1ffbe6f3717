/* What a model file holds, as JSON. */
#include "base/check.h"
#include "base/checked.h"
#include "base/json.h"
#include "base/str.h"
#include "model/weights.h"
#include "text/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct listing {
    json_t *root, *files, *metadata, *tensors, *types;
    int64_t most; /* elements of an array that are shown */
    int64_t elements, bytes;
} listing;

/* Text of any bytes as JSON: what is no UTF-8 becomes \xNN. */
static json_t *text_of(const char *text, size_t bytes)
{
    json_t *plain = json_stringn(text, bytes);
    qn_str safe = {0};
    if (plain) return plain;
    for (size_t at = 0; at < bytes;) {
        const uint8_t *from = (const uint8_t *)text + at;
        size_t length = qn__utf8_decode(from, bytes - at, NULL);
        if (length > 0) qn__str_add_bytes(&safe, from, length);
        else qn__str_add(&safe, "\\x%02x", *from);
        at += length > 0 ? length : 1;
    }
    plain = json_stringn(qn__str_text(&safe), safe.length);
    qn__str_free(&safe);
    return plain;
}

static json_t *number_of(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* ---- metadata ---- */

static json_t *element_of(const qn_gguf_value *value, uint64_t i)
{
    size_t bytes;
    const char *text;
    switch (value->element) {
    case QN_GGUF_STRING:
        text = qn__gguf_element_string(value, i, &bytes);
        return text_of(text, bytes);
    case QN_GGUF_F32:
    case QN_GGUF_F64: return number_of(qn__gguf_element_f64(value, i));
    case QN_GGUF_BOOL: return json_boolean(qn__gguf_element_i64(value, i));
    default: return json_integer(qn__gguf_element_i64(value, i));
    }
}

static void add_entry(listing *l, const qn_gguf_value *value)
{
    json_t *entry = json_pack("{s:s%,s:s}", "key", value->key, (size_t)value->key_bytes, "type",
                              qn__gguf_type_text(value));
    if (value->type == QN_GGUF_ARRAY) {
        json_t *list = json_array();
        for (uint64_t i = 0; i < value->count && i < (uint64_t)l->most; i++)
            json_array_append_new(list, element_of(value, i));
        json_object_set_new(entry, "count", json_integer((json_int_t)value->count));
        json_object_set_new(entry, "value", list);
    } else {
        json_object_set_new(entry, "value", element_of(value, 0));
    }
    json_array_append_new(l->metadata, entry);
}

/* Members of a JSON object as entries. */
static void add_members(listing *l, const json_t *object)
{
    static const char *const types[] = {"object", "array", "string", "integer",
                                        "real",   "bool",  "bool",   "null"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
        json_array_append_new(l->metadata, json_pack("{s:s,s:s,s:O}", "key", key, "type",
                                                     types[json_typeof(value)], "value", value));
}

/* ---- tensors ---- */

static void add_file(listing *l, const char *path, uint64_t bytes)
{
    json_array_append_new(l->files, json_pack("{s:o,s:I}", "path", text_of(path, strlen(path)),
                                              "bytes", (json_int_t)bytes));
}

static void add_to(json_t *row, const char *key, int64_t more)
{
    json_object_set_new(row, key,
                        json_integer(json_integer_value(json_object_get(row, key)) + more));
}

static void count_in(json_t *types, const char *type, int64_t elements, int64_t bytes)
{
    json_t *row = json_object_get(types, type);
    if (!row) {
        row = json_object();
        json_object_set_new(types, type, row);
    }
    add_to(row, "tensors", 1);
    add_to(row, "elements", elements);
    add_to(row, "bytes", bytes);
}

static json_t *bits_of(int64_t elements, int64_t bytes)
{
    return elements > 0 ? json_real(8 * (double)bytes / (double)elements) : json_null();
}

/* A tensor that has bytes has no more elements than a file can hold; one that is empty has none. */
static void add_tensor(listing *l, const qn_range *range, size_t file)
{
    json_t *shape = json_array();
    int64_t elements = range->bytes > 0, bytes = (int64_t)range->bytes;
    for (int i = 0; i < range->rank; i++) {
        json_array_append_new(shape, json_integer(range->dim[i]));
        if (!qn__mul_i64(elements, range->dim[i], &elements)) elements = 0;
    }
    json_t *row =
        json_pack("{s:o,s:s,s:o,s:I,s:I,s:I,s:o}", "name",
                  text_of(range->name, strlen(range->name)), "type", range->dtype_name, "shape",
                  shape, "file", (json_int_t)file, "offset", (json_int_t)range->offset, "bytes",
                  (json_int_t)bytes, "bits_per_weight", bits_of(elements, bytes));
    json_array_append_new(l->tensors, row);
    count_in(l->types, range->dtype_name, elements, bytes);
    l->elements += elements;
    l->bytes += bytes;
}

static void list_safetensors(listing *l, const qn_safetensors *file)
{
    size_t number = json_array_size(l->files);
    add_file(l, qn__safetensors_path(file), qn__safetensors_bytes(file));
    for (size_t i = 0; i < qn__safetensors_count(file); i++)
        add_tensor(l, qn__safetensors_at(file, i), number);
}

static void list_gguf(listing *l, const qn_gguf *gguf)
{
    json_object_set_new(l->root, "version", json_integer(qn__gguf_version(gguf)));
    json_object_set_new(l->root, "alignment", json_integer(qn__gguf_alignment(gguf)));
    for (size_t i = 0; i < qn__gguf_file_count(gguf); i++) {
        uint64_t bytes;
        const char *path = qn__gguf_file(gguf, i, &bytes);
        add_file(l, path, bytes);
    }
    for (size_t i = 0; i < qn__gguf_value_count(gguf); i++)
        add_entry(l, qn__gguf_value_at(gguf, i));
    for (size_t i = 0; i < qn__gguf_tensor_count(gguf); i++) {
        const qn_gguf_tensor *tensor = qn__gguf_tensor_at(gguf, i);
        qn_range range = qn__range_of_gguf(tensor);
        add_tensor(l, &range, (size_t)tensor->file);
    }
}

static void list_folder(listing *l, const qn_hf_folder *folder)
{
    add_members(l, qn__hf_folder_config(folder));
    for (size_t i = 0; i < qn__hf_folder_file_count(folder); i++)
        list_safetensors(l, qn__hf_folder_file(folder, i));
}

static void list_checkpoint(listing *l, const qn_checkpoint *checkpoint)
{
    add_members(l, qn__checkpoint_state(checkpoint));
    for (size_t i = 0; i < qn__checkpoint_file_count(checkpoint); i++)
        list_safetensors(l, qn__checkpoint_file_at(checkpoint, i));
}

/* llm.c's list has each tensor whole, and again layer by layer ("ln1w.0"). */
static void list_ranges(listing *l, const char *path, const qn_model_file *file)
{
    bool llmc = file->kind == QN_MODEL_FILE_LLMC;
    size_t count = llmc ? qn__llmc_count(file->llmc) : qn__llama2c_count(file->llama2c);
    uint64_t end = 0;
    for (size_t i = 0; i < count; i++) {
        const qn_range *range =
            llmc ? qn__llmc_at(file->llmc, i) : qn__llama2c_at(file->llama2c, i);
        if (range->offset + range->bytes > end) end = range->offset + range->bytes;
        if (!llmc || !strchr(range->name, '.')) add_tensor(l, range, 0);
    }
    add_file(l, path, end);
}

/* ---- the model ---- */

static json_t *model_of(const qn_model_file *file, const char *path)
{
    qn_model_config c;
    qn_status status = qn__config_from_file(file, path, &c);
    if (status == QN_OK) {
        qn_weight_source source = qn__weights_of_file(file, &c, path);
        status = qn__weights_check(&source);
    }
    if (status != QN_OK) {
        const char *why = qn_last_error();
        return json_pack("{s:b,s:o}", "runs", 0, "why", text_of(why, strlen(why)));
    }
    json_t *model = json_pack(
        "{s:b,s:s,s:I,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:b}", "runs", 1, "architecture",
        qn_arch_name(c.arch), "parameters", (json_int_t)qn_model_parameters(&c), "layers", c.layers,
        "embed", c.embed, "heads", c.heads, "kv_heads", c.kv_heads, "head_size", qn__head_size(&c),
        "ffn", c.ffn, "vocab", c.vocab, "context", c.context, "window", c.window, "tied", c.tied);
    json_t *experts = c.experts > 0 ? json_pack("{s:i,s:i,s:i,s:i}", "experts", c.experts,
                                                "experts_used", c.experts_used, "expert_ffn",
                                                c.expert_ffn, "shared_ffn", c.shared_ffn)
                                    : NULL;
    if (experts) json_object_update(model, experts);
    json_decref(experts);
    return model;
}

static void list_file(listing *l, const qn_model_file *file, const char *path)
{
    json_object_set_new(l->root, "path", text_of(path, strlen(path)));
    json_object_set_new(l->root, "kind", json_string(qn__model_file_kind_name(file->kind)));
    switch (file->kind) {
    case QN_MODEL_FILE_GGUF: list_gguf(l, file->gguf); break;
    case QN_MODEL_FILE_HF_FOLDER: list_folder(l, file->hf_folder); break;
    case QN_MODEL_FILE_CHECKPOINT: list_checkpoint(l, file->checkpoint); break;
    case QN_MODEL_FILE_SAFETENSORS:
        add_members(l, qn__safetensors_metadata(file->safetensors));
        list_safetensors(l, file->safetensors);
        break;
    default: list_ranges(l, path, file); break;
    }
    json_object_set_new(l->root, "model", model_of(file, path));
}

static char *finish(listing *l)
{
    json_t *totals =
        json_pack("{s:I,s:I,s:I,s:o,s:O}", "tensors", (json_int_t)json_array_size(l->tensors),
                  "elements", (json_int_t)l->elements, "bytes", (json_int_t)l->bytes,
                  "bits_per_weight", bits_of(l->elements, l->bytes), "types", l->types);
    json_object_set(l->root, "files", l->files);
    json_object_set(l->root, "metadata", l->metadata);
    json_object_set(l->root, "tensors", l->tensors);
    json_object_set_new(l->root, "totals", totals);
    return json_dumps(l->root, JSON_COMPACT);
}

/* A shard by itself, where the first of its kind is not what was given. */
static qn_status open_part(const char *path, qn_model_file *file)
{
    qn_status status = qn__model_file_open(path, file);
    if (status == QN_OK || !qn__is_gguf(path)) return status;
    *file = (qn_model_file){.kind = QN_MODEL_FILE_GGUF};
    return qn__gguf_open_part(path, &file->gguf);
}

qn_status qn_inspect(const char *path, int64_t most, char **json)
{
    qn_model_file file;
    *json = NULL;
    QN_CHECK(path && most >= 0, "qn_inspect: a path, and at least 0 elements of arrays");
    QN_TRY(open_part(path, &file));
    listing l = {.root = json_object(),
                 .files = json_array(),
                 .metadata = json_array(),
                 .tensors = json_array(),
                 .types = json_object(),
                 .most = most};
    list_file(&l, &file, path);
    *json = finish(&l);
    json_decref(l.root);
    json_decref(l.files);
    json_decref(l.metadata);
    json_decref(l.tensors);
    json_decref(l.types);
    qn__model_file_close(&file);
    return *json ? QN_OK : qn__fail(QN_OS_ERROR, "%s: out of memory", path);
}
