/* Parsing GGUF. One pass with a cursor; `take` is the only way forward, and it never passes the end
 * of the file. Arrays grow as elements are really there, so that a header cannot ask for memory. */
#include "file/gguf.h"

#include "base/check.h"
#include "base/checked.h"
#include "file/gguf_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_KEY = 65535,
    SHOWN = 80,           /* how much of a name a message shows */
    MIN_VALUE_BYTES = 14, /* length, one character, type, one byte */
    MIN_TENSOR_BYTES = 25 /* length, one character, rank 0, type, offset */
};

typedef struct reader {
    qn_gguf *gguf;
    size_t at;
} reader;

static uint64_t left(const reader *from)
{
    return from->gguf->bytes - from->at;
}

static qn_status bad(const reader *from, const char *what)
{
    return qn__fail(QN_BAD_DATA, "%s: byte %zu: %s", from->gguf->map.path, from->at, what);
}

static qn_status take(reader *from, uint64_t count, const char *what, const uint8_t **bytes)
{
    *bytes = from->gguf->data + from->at;
    if (count > left(from))
        return qn__fail(QN_BAD_DATA,
                        "%s: byte %zu: %s needs %" PRIu64 " bytes, but %" PRIu64
                        " are left: the file is truncated or damaged; copy or download it again",
                        from->gguf->map.path, from->at, what, count, left(from));
    from->at += (size_t)count;
    return QN_OK;
}

static qn_status take_u32(reader *from, const char *what, uint32_t *value)
{
    const uint8_t *bytes;
    *value = 0;
    QN_TRY(take(from, sizeof *value, what, &bytes));
    memcpy(value, bytes, sizeof *value);
    return QN_OK;
}

static qn_status take_u64(reader *from, const char *what, uint64_t *value)
{
    const uint8_t *bytes;
    *value = 0;
    QN_TRY(take(from, sizeof *value, what, &bytes));
    memcpy(value, bytes, sizeof *value);
    return QN_OK;
}

/* A length-prefixed name of [1, most] bytes without control characters: so that it can be
 * printed, compared as a C string, and never hides a NUL. */
static qn_status take_name(reader *from, size_t most, bool ascii, const char *what,
                           const char **name, uint32_t *length)
{
    uint64_t count;
    const uint8_t *bytes;
    QN_TRY(take_u64(from, what, &count));
    if (count == 0 || count > most)
        return qn__fail(QN_BAD_DATA, "%s: byte %zu: %s of %" PRIu64 " bytes, not in [1, %zu]",
                        from->gguf->map.path, from->at, what, count, most);
    QN_TRY(take(from, count, what, &bytes));
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] >= 0x20 && bytes[i] != 0x7f && (!ascii || bytes[i] < 0x80)) continue;
        return qn__fail(QN_BAD_DATA, "%s: byte %zu: %s has byte 0x%02x, which no name may have",
                        from->gguf->map.path, from->at - (size_t)count + i, what, bytes[i]);
    }
    *name = (const char *)bytes;
    *length = (uint32_t)count;
    return QN_OK;
}

static qn_status check_bools(reader *from, const qn_gguf_value *value)
{
    for (uint64_t i = 0; i < value->count; i++)
        if (value->data[i] > 1)
            return qn__fail(QN_BAD_DATA, "%s: metadata key \"%.*s\": a bool of %u, not 0 or 1",
                            from->gguf->map.path, (int)value->key_bytes, value->key,
                            value->data[i]);
    return QN_OK;
}

/* `count` strings one after another; `table` (may be NULL) notes where each begins. */
static qn_status take_strings(reader *from, uint64_t count, const uint8_t **table)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t length;
        const uint8_t *bytes;
        if (table) table[i] = from->gguf->data + from->at;
        QN_TRY(take_u64(from, "the length of a string", &length));
        QN_TRY(take(from, length, "a string", &bytes));
    }
    return QN_OK;
}

static qn_status take_string_array(reader *from, qn_gguf_value *value)
{
    if (value->count > left(from) / 8) return bad(from, "more strings than bytes left in the file");
    if (value->count == 0) return QN_OK;
    const uint8_t **table = calloc((size_t)value->count, sizeof *table);
    if (!table)
        return qn__fail(QN_OS_ERROR, "%s: no memory for a table of %" PRIu64 " strings",
                        from->gguf->map.path, value->count);
    value->strings = table;
    return take_strings(from, value->count, table);
}

/* The value of an entry whose key is already in *value. What it allocates belongs to *value. */
static qn_status take_value(reader *from, qn_gguf_value *value)
{
    uint32_t type;
    uint64_t bytes;
    QN_TRY(take_u32(from, "the type of a value", &type));
    value->count = 1;
    uint32_t element = type;
    if (type == QN_GGUF_ARRAY) {
        QN_TRY(take_u32(from, "the element type of an array", &element));
        QN_TRY(take_u64(from, "the length of an array", &value->count));
    }
    if (element == QN_GGUF_ARRAY) return bad(from, "an array of arrays, which GGUF readers refuse");
    if (element >= QN_GGUF_TYPE_COUNT)
        return qn__fail(QN_BAD_DATA, "%s: metadata key \"%.*s\" has type %u; types end at %d",
                        from->gguf->map.path, (int)value->key_bytes, value->key, element,
                        QN_GGUF_TYPE_COUNT - 1);
    value->type = (qn_gguf_type)type;
    value->element = (qn_gguf_type)element;
    value->data = from->gguf->data + from->at;
    if (element == QN_GGUF_STRING)
        return type == QN_GGUF_ARRAY ? take_string_array(from, value) : take_strings(from, 1, NULL);
    if (!qn__mul_u64(value->count, qn__gguf_type_bytes(element), &bytes))
        return bad(from, "an array larger than the address space");
    QN_TRY(take(from, bytes, "a value", &value->data));
    return element == QN_GGUF_BOOL ? check_bools(from, value) : QN_OK;
}

/* Room for one more element of `size` bytes; what is new is zero. */
static qn_status reserve(const reader *from, void **array, size_t count, size_t *capacity,
                         size_t size)
{
    if (count < *capacity) return QN_OK;
    size_t wanted = *capacity ? *capacity * 2 : 16;
    void *larger = reallocarray(*array, wanted, size);
    if (!larger)
        return qn__fail(QN_OS_ERROR, "%s: no memory for %zu entries", from->gguf->map.path, wanted);
    memset((uint8_t *)larger + *capacity * size, 0, (wanted - *capacity) * size);
    *array = larger;
    *capacity = wanted;
    return QN_OK;
}

static qn_status take_values(reader *from, uint64_t count)
{
    qn_gguf *gguf = from->gguf;
    for (uint64_t i = 0; i < count; i++) {
        int64_t earlier;
        void *array = gguf->values;
        QN_TRY(reserve(from, &array, gguf->value_count, &gguf->value_capacity,
                       sizeof *gguf->values));
        gguf->values = array;
        qn_gguf_value *value = &gguf->values[gguf->value_count];
        QN_TRY(take_name(from, MAX_KEY, true, "a metadata key", &value->key, &value->key_bytes));
        QN_TRY(qn__name_index_add(&gguf->keys, value->key, value->key_bytes,
                                  (uint32_t)gguf->value_count, &earlier));
        gguf->value_count++; /* from here close() frees what the value owns */
        if (earlier != QN_NAME_ABSENT)
            return qn__fail(QN_BAD_DATA, "%s: metadata key \"%.*s\" occurs twice", gguf->map.path,
                            value->key_bytes > SHOWN ? SHOWN : (int)value->key_bytes, value->key);
        QN_TRY(take_value(from, value));
    }
    return QN_OK;
}

/* Dimensions multiplied one at a time, empty ones apart, so that no product can wrap. */
static qn_status tensor_size(const reader *from, qn_gguf_tensor *tensor)
{
    const qn_ggml_traits *traits = qn__ggml_traits(tensor->type);
    int64_t elements = 1;
    bool empty = false;
    for (int i = 0; i < QN_GGUF_RANK; i++) {
        if (tensor->ne[i] == 0) empty = true;
        else if (!qn__mul_i64(elements, tensor->ne[i], &elements))
            return qn__fail(QN_BAD_DATA,
                            "%s: tensor \"%s\" has more than 2^63 elements ([%lld, %lld, %lld, "
                            "%lld])",
                            from->gguf->map.path, tensor->name, (long long)tensor->ne[0],
                            (long long)tensor->ne[1], (long long)tensor->ne[2],
                            (long long)tensor->ne[3]);
    }
    if (tensor->ne[0] % traits->block != 0)
        return qn__fail(QN_BAD_DATA, "%s: tensor \"%s\" has rows of %lld elements, but a block of "
                        "%s holds %d", from->gguf->map.path, tensor->name,
                        (long long)tensor->ne[0], traits->name, traits->block);
    if (empty) elements = 0;
    if (!qn__mul_u64((uint64_t)elements / (uint64_t)traits->block, (uint64_t)traits->bytes,
                     &tensor->bytes) || tensor->bytes > INT64_MAX)
        return qn__fail(QN_BAD_DATA, "%s: tensor \"%s\" is larger than 2^63 bytes",
                        from->gguf->map.path, tensor->name);
    return QN_OK;
}

static qn_status take_shape(reader *from, qn_gguf_tensor *tensor)
{
    uint32_t rank;
    QN_TRY(take_u32(from, "the rank of a tensor", &rank));
    if (rank > QN_GGUF_RANK)
        return qn__fail(QN_BAD_DATA, "%s: tensor \"%s\" has %u dimensions, more than %d",
                        from->gguf->map.path, tensor->name, rank, QN_GGUF_RANK);
    tensor->rank = (int)rank;
    for (int i = 0; i < QN_GGUF_RANK; i++) {
        uint64_t ne = 1;
        if (i < tensor->rank) QN_TRY(take_u64(from, "a dimension of a tensor", &ne));
        if (ne > INT64_MAX)
            return qn__fail(QN_BAD_DATA, "%s: tensor \"%s\" has a dimension of %lld",
                            from->gguf->map.path, tensor->name, (long long)ne);
        tensor->ne[i] = (int64_t)ne;
    }
    return QN_OK;
}

/* One line of the tensor table. *expected is the running sum of padded sizes: ggml demands that
 * each offset equals it, which also rules out overlap. */
static qn_status take_tensor(reader *from, qn_gguf_tensor *tensor, uint64_t *expected)
{
    const qn_gguf *gguf = from->gguf;
    uint32_t type;
    QN_TRY(take_shape(from, tensor));
    QN_TRY(take_u32(from, "the type of a tensor", &type));
    if (qn__ggml_traits(type)->block == 0)
        return qn__fail(QN_BAD_DATA, "%s: tensor \"%s\" has type %u, which ggml does not have",
                        gguf->map.path, tensor->name, type);
    tensor->type = (qn_ggml_type)type;
    QN_TRY(take_u64(from, "the offset of a tensor", &tensor->offset));
    QN_TRY(tensor_size(from, tensor));
    if (tensor->offset != *expected)
        return qn__fail(QN_BAD_DATA,
                        "%s: tensor \"%s\" is at offset %" PRIu64 ", but the ones before it end at "
                        "%" PRIu64 " (alignment %u)",
                        gguf->map.path, tensor->name, tensor->offset, *expected, gguf->alignment);
    uint64_t padded;
    if (!qn__pad_u64(tensor->bytes, gguf->alignment, &padded) ||
        !qn__add_u64(*expected, padded, expected))
        return qn__fail(QN_BAD_DATA, "%s: the tensors up to \"%s\" are larger than 2^64 bytes",
                        gguf->map.path, tensor->name);
    return QN_OK;
}

static qn_status take_tensors(reader *from, uint64_t count)
{
    qn_gguf *gguf = from->gguf;
    uint64_t expected = 0;
    for (uint64_t i = 0; i < count; i++) {
        const char *name;
        uint32_t length;
        void *array = gguf->tensors;
        QN_TRY(reserve(from, &array, gguf->tensor_count, &gguf->tensor_capacity,
                       sizeof *gguf->tensors));
        gguf->tensors = array;
        qn_gguf_tensor *tensor = &gguf->tensors[gguf->tensor_count];
        QN_TRY(take_name(from, QN_GGUF_NAME - 1, false, "a tensor name", &name, &length));
        memcpy(tensor->name, name, length);
        int64_t earlier;
        QN_TRY(qn__name_index_add(&gguf->names, name, length, (uint32_t)gguf->tensor_count,
                                  &earlier));
        gguf->tensor_count++;
        if (earlier != QN_NAME_ABSENT)
            return qn__fail(QN_BAD_DATA, "%s: tensor \"%s\" occurs twice", gguf->map.path,
                            tensor->name);
        QN_TRY(take_tensor(from, tensor, &expected));
    }
    return QN_OK;
}

/* Every tensor must lie in the bytes the file really has. The padding after the last may be absent,
 * and so may all of it when there is nothing to pad for. */
static qn_status place_tensors(const reader *from)
{
    qn_gguf *gguf = from->gguf;
    uint64_t start;
    if (!qn__pad_u64(from->at, gguf->alignment, &start)) return bad(from, "no room for tensors");
    uint64_t room = start < gguf->bytes ? gguf->bytes - start : 0;
    for (size_t i = 0; i < gguf->tensor_count; i++) {
        qn_gguf_tensor *tensor = &gguf->tensors[i];
        tensor->file_offset = start + tensor->offset;
        if (tensor->bytes == 0) continue;
        if (tensor->offset > room || tensor->bytes > room - tensor->offset)
            return qn__fail(QN_BAD_DATA,
                            "%s: tensor \"%s\" ends at byte %" PRIu64 " of the data, but the file "
                            "has %" PRIu64 ": it is truncated; copy or download it again",
                            gguf->map.path, tensor->name, tensor->offset + tensor->bytes, room);
        tensor->data = gguf->data + start + tensor->offset;
    }
    return QN_OK;
}

static qn_status read_version(reader *from)
{
    qn_gguf *gguf = from->gguf;
    const uint8_t *magic;
    QN_TRY(take(from, 4, "the magic number", &magic));
    if (memcmp(magic, "GGUF", 4) != 0)
        return qn__fail(QN_BAD_DATA, "%s: begins with %02x %02x %02x %02x, not with \"GGUF\"",
                        gguf->map.path, magic[0], magic[1], magic[2], magic[3]);
    QN_TRY(take_u32(from, "the version", &gguf->version));
    if (gguf->version != 0 && (gguf->version & 0xffff) == 0)
        return qn__fail(QN_BAD_DATA, "%s: a big-endian GGUF file; convert it to little-endian",
                        gguf->map.path);
    if (gguf->version != 2 && gguf->version != 3)
        return qn__fail(QN_BAD_DATA, "%s: GGUF version %u; versions 2 and 3 are read",
                        gguf->map.path, gguf->version);
    return QN_OK;
}

static qn_status read_all(reader *from)
{
    uint64_t tensors, values;
    qn_gguf *gguf = from->gguf;
    QN_TRY(read_version(from));
    QN_TRY(take_u64(from, "the number of tensors", &tensors));
    QN_TRY(take_u64(from, "the number of metadata entries", &values));
    uint64_t room = left(from);
    if (values > room / MIN_VALUE_BYTES || tensors > room / MIN_TENSOR_BYTES ||
        values > INT32_MAX || tensors > INT32_MAX)
        return qn__fail(QN_BAD_DATA, "%s: %" PRIu64 " metadata entries and %" PRIu64
                        " tensors cannot lie in %" PRIu64 " bytes", gguf->map.path, values,
                        tensors, room);
    QN_TRY(take_values(from, values));
    QN_TRY(qn__gguf_read_alignment(gguf));
    QN_TRY(take_tensors(from, tensors));
    return place_tensors(from);
}

/* Takes over *map; on failure everything is closed. */
static qn_status create(qn_map map, bool owns_map, qn_gguf **gguf)
{
    qn_gguf *made = calloc(1, sizeof *made);
    if (!made || !map.path) {
        free(made);
        if (owns_map) qn__map_close(&map);
        else free(map.path);
        return qn__fail(QN_OS_ERROR, "out of memory while opening a GGUF file");
    }
    made->map = map;
    made->owns_map = owns_map;
    made->data = map.data;
    made->bytes = map.bytes;
    reader from = {.gguf = made};
    qn_status status = read_all(&from);
    if (status != QN_OK) qn__gguf_close(&made);
    *gguf = made;
    return status;
}

qn_status qn__gguf_open_part(const char *path, qn_gguf **gguf)
{
    qn_map map;
    *gguf = NULL;
    QN_TRY(qn__map_open(path, &map));
    return create(map, true, gguf);
}

qn_status qn__gguf_open(const char *path, qn_gguf **gguf)
{
    QN_TRY(qn__gguf_open_part(path, gguf));
    qn_status status = qn__gguf_open_shards(*gguf);
    if (status != QN_OK) qn__gguf_close(gguf);
    return status;
}

qn_status qn__gguf_parse(const void *bytes, size_t count, const char *origin, qn_gguf **gguf)
{
    qn_map map = {.data = bytes, .bytes = count, .path = strdup(origin)};
    *gguf = NULL;
    return create(map, false, gguf);
}

void qn__gguf_close(qn_gguf **gguf)
{
    qn_gguf *old = *gguf;
    if (!old) return;
    for (size_t i = 0; i < old->value_count; i++) free((void *)(uintptr_t)old->values[i].strings);
    free(old->values);
    free(old->tensors);
    qn__name_index_free(&old->keys);
    qn__name_index_free(&old->names);
    for (size_t i = 0; i < old->part_count; i++) qn__gguf_close(&old->parts[i]);
    free(old->parts);
    if (old->owns_map) qn__map_close(&old->map);
    else free(old->map.path);
    free(old);
    *gguf = NULL;
}
