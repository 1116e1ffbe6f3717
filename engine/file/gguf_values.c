/* Reading GGUF metadata once it has been checked. */
#include "file/gguf_internal.h"

#include "base/check.h"

#include <string.h>

size_t qn__gguf_value_count(const qn_gguf *gguf)
{
    return gguf->value_count;
}

const qn_gguf_value *qn__gguf_value_at(const qn_gguf *gguf, size_t i)
{
    QN_ASSERT(i < gguf->value_count);
    return &gguf->values[i];
}

const qn_gguf_value *qn__gguf_find(const qn_gguf *gguf, const char *key)
{
    int64_t found = qn__name_index_find(&gguf->keys, key, strlen(key));
    return found == QN_NAME_ABSENT ? NULL : &gguf->values[found];
}

/* The host is little-endian, as every device we run on; GGUF is too. */
#define READ(type, from)                                                                           \
    __extension__({                                                                                \
        type read_;                                                                                \
        memcpy(&read_, (from), sizeof read_);                                                      \
        read_;                                                                                     \
    })

int64_t qn__gguf_element_i64(const qn_gguf_value *value, uint64_t i)
{
    QN_ASSERT(i < value->count);
    const uint8_t *at = value->data + i * qn__gguf_type_bytes(value->element);
    switch (value->element) {
    case QN_GGUF_U8:
    case QN_GGUF_BOOL: return *at;
    case QN_GGUF_I8: return READ(int8_t, at);
    case QN_GGUF_U16: return READ(uint16_t, at);
    case QN_GGUF_I16: return READ(int16_t, at);
    case QN_GGUF_U32: return READ(uint32_t, at);
    case QN_GGUF_I32: return READ(int32_t, at);
    case QN_GGUF_I64: return READ(int64_t, at);
    case QN_GGUF_U64: {
        uint64_t read = READ(uint64_t, at);
        return read > INT64_MAX ? INT64_MAX : (int64_t)read;
    }
    default: QN_ASSERT(false); return 0;
    }
}

double qn__gguf_element_f64(const qn_gguf_value *value, uint64_t i)
{
    QN_ASSERT(i < value->count);
    const uint8_t *at = value->data + i * qn__gguf_type_bytes(value->element);
    if (value->element == QN_GGUF_F32) return (double)READ(float, at);
    if (value->element == QN_GGUF_F64) return READ(double, at);
    QN_ASSERT(false);
    return 0;
}

const char *qn__gguf_element_string(const qn_gguf_value *value, uint64_t i, size_t *bytes)
{
    QN_ASSERT(i < value->count && value->element == QN_GGUF_STRING);
    const uint8_t *at = value->strings ? value->strings[i] : value->data;
    *bytes = (size_t)READ(uint64_t, at);
    return (const char *)at + 8;
}

static qn_status missing(const qn_gguf *gguf, const char *key, bool required)
{
    if (!required) return QN_OK;
    return qn__fail(QN_BAD_DATA, "%s: metadata key \"%s\" is missing", gguf->map.path, key);
}

static qn_status wrong_type(const qn_gguf *gguf, const char *key, const qn_gguf_value *value,
                            const char *wanted)
{
    return qn__fail(QN_BAD_DATA, "%s: metadata key \"%s\" is %s%s, not %s", gguf->map.path, key,
                    value->type == QN_GGUF_ARRAY ? "an array of " : "",
                    qn__gguf_type_name(value->element), wanted);
}

static bool is_integer(qn_gguf_type type)
{
    return type <= QN_GGUF_I32 || type == QN_GGUF_U64 || type == QN_GGUF_I64;
}

qn_status qn__gguf_i64(const qn_gguf *gguf, const char *key, bool required, int64_t low,
                       int64_t high, int64_t *value)
{
    const qn_gguf_value *found = qn__gguf_find(gguf, key);
    if (!found) return missing(gguf, key, required);
    if (!is_integer(found->type)) return wrong_type(gguf, key, found, "an integer");
    int64_t got = qn__gguf_element_i64(found, 0);
    if (got < low || got > high)
        return qn__fail(QN_BAD_DATA, "%s: metadata key \"%s\" is %lld, outside [%lld, %lld]",
                        gguf->map.path, key, (long long)got, (long long)low, (long long)high);
    *value = got;
    return QN_OK;
}

qn_status qn__gguf_f64(const qn_gguf *gguf, const char *key, bool required, double *value)
{
    const qn_gguf_value *found = qn__gguf_find(gguf, key);
    if (!found) return missing(gguf, key, required);
    if (found->type != QN_GGUF_F32 && found->type != QN_GGUF_F64)
        return wrong_type(gguf, key, found, "f32 or f64");
    *value = qn__gguf_element_f64(found, 0);
    return QN_OK;
}

qn_status qn__gguf_bool(const qn_gguf *gguf, const char *key, bool required, bool *value)
{
    const qn_gguf_value *found = qn__gguf_find(gguf, key);
    if (!found) return missing(gguf, key, required);
    if (found->type != QN_GGUF_BOOL) return wrong_type(gguf, key, found, "a bool");
    *value = found->data[0] != 0;
    return QN_OK;
}

qn_status qn__gguf_string(const qn_gguf *gguf, const char *key, bool required, const char **text,
                          size_t *bytes)
{
    const qn_gguf_value *found = qn__gguf_find(gguf, key);
    if (!found) return missing(gguf, key, required);
    if (found->type != QN_GGUF_STRING) return wrong_type(gguf, key, found, "a string");
    *text = qn__gguf_element_string(found, 0, bytes);
    return QN_OK;
}

qn_status qn__gguf_array(const qn_gguf *gguf, const char *key, bool required, qn_gguf_type element,
                         const qn_gguf_value **value)
{
    *value = NULL;
    const qn_gguf_value *found = qn__gguf_find(gguf, key);
    if (!found) return missing(gguf, key, required);
    if (found->type != QN_GGUF_ARRAY || found->element != element) {
        char wanted[32] = "an array of ";
        strncat(wanted, qn__gguf_type_name((uint32_t)element), 16);
        return wrong_type(gguf, key, found, wanted);
    }
    *value = found;
    return QN_OK;
}

const char *qn__gguf_path(const qn_gguf *gguf)
{
    return gguf->map.path;
}

uint32_t qn__gguf_version(const qn_gguf *gguf)
{
    return gguf->version;
}

uint32_t qn__gguf_alignment(const qn_gguf *gguf)
{
    return gguf->alignment;
}

size_t qn__gguf_file_count(const qn_gguf *gguf)
{
    return 1 + gguf->part_count;
}

const char *qn__gguf_file(const qn_gguf *gguf, size_t i, uint64_t *bytes)
{
    QN_ASSERT(i <= gguf->part_count);
    const qn_gguf *file = i == 0 ? gguf : gguf->parts[i - 1];
    *bytes = file->bytes;
    return file->map.path;
}

const char *qn__gguf_type_text(const qn_gguf_value *value)
{
    return qn__gguf_type_name((uint32_t)value->element);
}

size_t qn__gguf_tensor_count(const qn_gguf *gguf)
{
    return gguf->tensor_count;
}

const qn_gguf_tensor *qn__gguf_tensor_at(const qn_gguf *gguf, size_t i)
{
    QN_ASSERT(i < gguf->tensor_count);
    return &gguf->tensors[i];
}

const qn_gguf_tensor *qn__gguf_tensor(const qn_gguf *gguf, const char *name)
{
    int64_t found = qn__name_index_find(&gguf->names, name, strlen(name));
    return found == QN_NAME_ABSENT ? NULL : &gguf->tensors[found];
}

enum {
    MIN_ALIGNMENT = 8, /* by the specification; it also keeps tensor data aligned for any element */
    MAX_ALIGNMENT = 1 << 20,
    DEFAULT_ALIGNMENT = 32
};

qn_status qn__gguf_read_alignment(qn_gguf *gguf)
{
    const qn_gguf_value *value = qn__gguf_find(gguf, "general.alignment");
    gguf->alignment = DEFAULT_ALIGNMENT;
    if (!value) return QN_OK;
    if (value->type != QN_GGUF_U32)
        return qn__fail(QN_BAD_DATA, "%s: general.alignment is %s, not u32", gguf->map.path,
                        qn__gguf_type_name((uint32_t)value->type));
    uint32_t alignment = (uint32_t)qn__gguf_element_i64(value, 0);
    if (alignment < MIN_ALIGNMENT || alignment > MAX_ALIGNMENT || (alignment & (alignment - 1)))
        return qn__fail(QN_BAD_DATA, "%s: general.alignment is %u, not a power of two in [%d, %d]",
                        gguf->map.path, alignment, MIN_ALIGNMENT, MAX_ALIGNMENT);
    gguf->alignment = alignment;
    return QN_OK;
}
