/* Reading safetensors. The header is JSON from a stranger: jansson parses it, and nothing in it is
 * believed until it fits the bytes that are there. */
#include "file/safetensors.h"

#include "base/check.h"
#include "base/checked.h"
#include "base/fs.h"
#include "base/json.h"
#include "file/name_index.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, MAX_HEADER = 100000000 };

#define METADATA "__metadata__"

typedef struct dtype_row {
    const char *name;
    unsigned bits;
    qn_dtype dtype;
} dtype_row;

static const dtype_row dtypes[] = {
    {"F32", 32, QN_F32},
    {"F16", 16, QN_F16},
    {"BF16", 16, QN_BF16},
    {"I32", 32, QN_I32},
    {"U8", 8, QN_U8},
    {"BOOL", 8, QN_DTYPE_COUNT},
    {"I8", 8, QN_DTYPE_COUNT},
    {"I16", 16, QN_DTYPE_COUNT},
    {"U16", 16, QN_DTYPE_COUNT},
    {"U32", 32, QN_DTYPE_COUNT},
    {"I64", 64, QN_DTYPE_COUNT},
    {"U64", 64, QN_DTYPE_COUNT},
    {"F64", 64, QN_DTYPE_COUNT},
    {"C64", 64, QN_DTYPE_COUNT},
    {"F8_E4M3", 8, QN_DTYPE_COUNT},
    {"F8_E5M2", 8, QN_DTYPE_COUNT},
    {"F8_E8M0", 8, QN_DTYPE_COUNT},
    {"F8_E4M3FNUZ", 8, QN_DTYPE_COUNT},
    {"F8_E5M2FNUZ", 8, QN_DTYPE_COUNT},
    {"F6_E2M3", 6, QN_DTYPE_COUNT},
    {"F6_E3M2", 6, QN_DTYPE_COUNT},
    {"F4", 4, QN_DTYPE_COUNT},
};

struct qn_safetensors {
    qn_map map; /* map.path is the origin even when the bytes are the caller's */
    bool owns_map;
    json_t *header; /* owns the names */
    const json_t *metadata;
    qn_range *ranges;
    size_t count;
    qn_name_index names;
};

const char *qn__safetensors_dtype_name(qn_dtype dtype)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
        if (dtypes[i].dtype == dtype && dtype < QN_DTYPE_COUNT) return dtypes[i].name;
    return "?";
}

static const dtype_row *dtype_find(const char *name)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
        if (strcmp(dtypes[i].name, name) == 0) return &dtypes[i];
    return NULL;
}

static qn_status bad(const qn_safetensors *file, const char *name, const char *what)
{
    return qn__fail(QN_BAD_DATA, "%s: tensor \"%.200s\": %s", file->map.path, name, what);
}

/* Names are printed, logged and become keys: no control characters. */
static bool printable(const char *name)
{
    for (; *name; name++)
        if ((unsigned char)*name < 0x20 || *name == 0x7f) return false;
    return true;
}

/* Fill in the shape; *bytes becomes the size it says. */
static qn_status read_shape(const qn_safetensors *file, const dtype_row *dtype,
                            const json_t *shape, qn_range *range, uint64_t *bytes)
{
    uint64_t bits = dtype->bits;
    bool empty = false;
    if (!json_is_array(shape)) return bad(file, range->name, "\"shape\" is not a list");
    if (json_array_size(shape) > QN_RANGE_RANK)
        return qn__fail(QN_BAD_DATA, "%s: tensor \"%.200s\" has %zu dimensions, more than %d",
                        file->map.path, range->name, json_array_size(shape), QN_RANGE_RANK);
    range->rank = (int)json_array_size(shape);
    for (int i = 0; i < range->rank; i++) {
        const json_t *dim = json_array_get(shape, (size_t)i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return bad(file, range->name, "a dimension is not a whole number >= 0");
        range->dim[i] = json_integer_value(dim);
        if (range->dim[i] == 0) empty = true;
        else if (!qn__mul_u64(bits, (uint64_t)range->dim[i], &bits) || bits > INT64_MAX)
            return bad(file, range->name, "the shape is larger than 2^60 bytes");
    }
    if (empty) bits = 0;
    if (bits % 8) return bad(file, range->name, "the shape does not fill whole bytes");
    *bytes = bits / 8;
    return QN_OK;
}

/* Fill in the offsets. `data` holds `begin` as a number until the whole table is known good. */
static qn_status read_offsets(const qn_safetensors *file, const json_t *offsets, qn_range *range,
                              uint64_t size, uint64_t room)
{
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return bad(file, range->name, "\"data_offsets\" is not a list of two whole numbers");
    long long from = json_integer_value(begin), to = json_integer_value(end);
    if (from < 0 || to < from || (uint64_t)to > room)
        return qn__fail(QN_BAD_DATA,
                        "%s: tensor \"%.200s\" is at [%lld, %lld), outside the %" PRIu64
                        " bytes of data: the file is truncated or damaged; copy or download it "
                        "again", file->map.path, range->name, from, to, room);
    if ((uint64_t)(to - from) != size)
        return qn__fail(QN_BAD_DATA, "%s: tensor \"%.200s\" has %lld bytes, but its shape needs "
                        "%" PRIu64, file->map.path, range->name, to - from, size);
    range->offset = file->map.bytes - room + (uint64_t)from;
    range->data = file->map.data + range->offset;
    range->bytes = size;
    return QN_OK;
}

static qn_status read_tensor(const qn_safetensors *file, const char *name, const json_t *entry,
                             uint64_t room, qn_range *range)
{
    uint64_t size = 0;
    const char *dtype_name = json_string_value(json_object_get(entry, "dtype"));
    if (!printable(name))
        return qn__fail(QN_BAD_DATA, "%s: a tensor name has a control character", file->map.path);
    range->name = name;
    if (!json_is_object(entry)) return bad(file, name, "not an object");
    if (!dtype_name) return bad(file, name, "\"dtype\" is missing or not a string");
    const dtype_row *dtype = dtype_find(dtype_name);
    if (!dtype)
        return qn__fail(QN_BAD_DATA, "%s: tensor \"%.200s\" has dtype \"%.32s\", which safetensors "
                        "does not have", file->map.path, name, dtype_name);
    range->dtype = dtype->dtype;
    range->dtype_name = dtype->name;
    QN_TRY(read_shape(file, dtype, json_object_get(entry, "shape"), range, &size));
    return read_offsets(file, json_object_get(entry, "data_offsets"), range, size, room);
}

static int by_place(const void *left, const void *right)
{
    const qn_range *a = left, *b = right;
    if (a->data != b->data) return a->data < b->data ? -1 : 1;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* Sorted by place, each tensor must begin where the one before ends, and the last at the end. */
static qn_status check_places(qn_safetensors *file, uint64_t room)
{
    const uint8_t *at = file->map.data + (file->map.bytes - room);
    const uint8_t *end = file->map.data + file->map.bytes;
    if (file->count) qsort(file->ranges, file->count, sizeof *file->ranges, by_place);
    for (size_t i = 0; i < file->count; i++) {
        qn_range *range = &file->ranges[i];
        int64_t earlier;
        if (range->data != at)
            return bad(file, range->name, range->data < at ? "overlaps the tensor before it"
                                                           : "leaves a hole before it");
        at += range->bytes;
        QN_TRY(qn__name_index_add(&file->names, range->name, strlen(range->name), (uint32_t)i,
                                  &earlier));
        if (earlier != QN_NAME_ABSENT) return bad(file, range->name, "occurs twice");
        if (range->bytes == 0) range->data = NULL;
    }
    if (at != end)
        return qn__fail(QN_BAD_DATA, "%s: %zu bytes after the last tensor belong to none",
                        file->map.path, (size_t)(end - at));
    return QN_OK;
}

static qn_status check_metadata(const qn_safetensors *file, const json_t *metadata)
{
    const char *key;
    json_t *value;
    if (!json_is_object(metadata))
        return qn__fail(QN_BAD_DATA, "%s: " METADATA " is not an object", file->map.path);
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value)
        if (!json_is_string(value))
            return qn__fail(QN_BAD_DATA, "%s: " METADATA " \"%.200s\" is not a string",
                            file->map.path, key);
    return QN_OK;
}

static qn_status read_entries(qn_safetensors *file, uint64_t room)
{
    const char *name;
    json_t *entry;
    if (!json_is_object(file->header))
        return qn__fail(QN_BAD_DATA, "%s: the header is not a JSON object", file->map.path);
    size_t entries = json_object_size(file->header);
    if (entries > INT32_MAX) return qn__fail(QN_BAD_DATA, "%s: too many tensors", file->map.path);
    file->ranges = calloc(entries ? entries : 1, sizeof *file->ranges);
    if (!file->ranges)
        return qn__fail(QN_OS_ERROR, "%s: no memory for %zu tensors", file->map.path, entries);
    json_object_foreach(file->header, name, entry) {
        if (strcmp(name, METADATA) == 0) {
            QN_TRY(check_metadata(file, entry));
            file->metadata = entry;
            continue;
        }
        QN_TRY(read_tensor(file, name, entry, room, &file->ranges[file->count]));
        file->count++;
    }
    return check_places(file, room);
}

bool qn__safetensors_looks_like(const void *bytes, size_t count, uint64_t total)
{
    uint64_t length;
    if (count <= LENGTH_BYTES) return false;
    memcpy(&length, bytes, sizeof length);
    return length >= 2 && length <= MAX_HEADER && length <= total - LENGTH_BYTES &&
           ((const uint8_t *)bytes)[LENGTH_BYTES] == '{';
}

static qn_status read_all(qn_safetensors *file)
{
    const qn_map *map = &file->map;
    uint64_t length = 0;
    if (map->bytes < LENGTH_BYTES)
        return qn__fail(QN_BAD_DATA, "%s: %zu bytes are too few for a safetensors file", map->path,
                        map->bytes);
    memcpy(&length, map->data, sizeof length);
    if (length > MAX_HEADER || length > map->bytes - LENGTH_BYTES)
        return qn__fail(QN_BAD_DATA, "%s: a header of %" PRIu64 " bytes in a file of %zu (the most "
                        "is %d): not a safetensors file, or truncated", map->path, length,
                        map->bytes, MAX_HEADER);
    if (!qn__safetensors_looks_like(map->data, map->bytes, map->bytes))
        return qn__fail(QN_BAD_DATA, "%s: the header does not begin with '{': not a safetensors "
                        "file", map->path);
    QN_TRY(qn__json_parse((const char *)map->data + LENGTH_BYTES, (size_t)length, map->path,
                          &file->header));
    return read_entries(file, map->bytes - LENGTH_BYTES - length);
}

/* Takes over *map; on failure everything is closed. */
static qn_status create(qn_map map, bool owns_map, qn_safetensors **file)
{
    qn_safetensors *made = calloc(1, sizeof *made);
    if (!made || !map.path) {
        free(made);
        if (owns_map) qn__map_close(&map);
        else free(map.path);
        return qn__fail(QN_OS_ERROR, "out of memory while opening a safetensors file");
    }
    made->map = map;
    made->owns_map = owns_map;
    qn_status status = read_all(made);
    if (status != QN_OK) qn__safetensors_close(&made);
    *file = made;
    return status;
}

qn_status qn__safetensors_open(const char *path, qn_safetensors **file)
{
    qn_map map;
    *file = NULL;
    QN_TRY(qn__map_open(path, &map));
    return create(map, true, file);
}

qn_status qn__safetensors_parse(const void *bytes, size_t count, const char *origin,
                                qn_safetensors **file)
{
    qn_map map = {.data = bytes, .bytes = count, .path = strdup(origin)};
    *file = NULL;
    return create(map, false, file);
}

void qn__safetensors_close(qn_safetensors **file)
{
    qn_safetensors *old = *file;
    if (!old) return;
    qn__name_index_free(&old->names);
    free(old->ranges);
    json_decref(old->header);
    if (old->owns_map) qn__map_close(&old->map);
    else free(old->map.path);
    free(old);
    *file = NULL;
}

const char *qn__safetensors_path(const qn_safetensors *file)
{
    return file->map.path;
}

size_t qn__safetensors_count(const qn_safetensors *file)
{
    return file->count;
}

const qn_range *qn__safetensors_at(const qn_safetensors *file, size_t i)
{
    QN_ASSERT(i < file->count);
    return &file->ranges[i];
}

const qn_range *qn__safetensors_find(const qn_safetensors *file, const char *name)
{
    int64_t found = qn__name_index_find(&file->names, name, strlen(name));
    return found == QN_NAME_ABSENT ? NULL : &file->ranges[found];
}

const json_t *qn__safetensors_metadata(const qn_safetensors *file)
{
    return file->metadata;
}

uint64_t qn__safetensors_bytes(const qn_safetensors *file)
{
    return file->map.bytes;
}

const char *qn__safetensors_meta(const qn_safetensors *file, const char *key)
{
    return file->metadata ? json_string_value(json_object_get(file->metadata, key)) : NULL;
}
