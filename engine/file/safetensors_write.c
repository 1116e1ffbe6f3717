/* Writing safetensors as a stream. The header is written at the first byte of data, when every
 * tensor is known. */
#include "base/check.h"
#include "base/checked.h"
#include "base/hash.h"
#include "file/safetensors.h"
#include "file/writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADER_UNIT = 64, /* data begins at a multiple of this, so that a map of it is aligned */
    HASH_TEXT = 17
};

struct qn_safetensors_writer {
    qn_writer *out;
    json_t *header; /* in the order declared; __metadata__ first if there is any */
    json_t *hashes; /* name: text, of the tensors that are complete */
    json_t *metadata;
    uint64_t declared;  /* bytes of all tensors */
    bool header_out;
    void *current;      /* iterator of the header: the tensor that is being added */
    uint64_t left;      /* of the current tensor */
    qn_hasher *hasher;
};

static qn_status no_memory(const char *path)
{
    return qn__fail(QN_OS_ERROR, "%s: out of memory", path);
}

qn_status qn__safetensors_writer_create(const char *path, qn_safetensors_writer **writer)
{
    *writer = NULL;
    qn_safetensors_writer *made = calloc(1, sizeof *made);
    if (!made) return no_memory(path);
    made->header = json_object();
    made->hashes = json_object();
    made->metadata = json_object();
    qn_status status = made->header && made->hashes && made->metadata
                           ? qn__writer_create(path, &made->out)
                           : no_memory(path);
    if (status != QN_OK) qn__safetensors_writer_destroy(&made);
    *writer = made;
    return status;
}

qn_status qn__safetensors_writer_meta(qn_safetensors_writer *writer, const char *key,
                                      const char *value)
{
    QN_CHECK(!writer->header_out, "%s: metadata \"%s\" comes after data",
             qn__writer_path(writer->out), key);
    if (json_object_set_new(writer->metadata, key, json_string(value)) != 0)
        return qn__fail(QN_BAD_ARGUMENT, "%s: metadata \"%s\" is not UTF-8",
                        qn__writer_path(writer->out), key);
    return QN_OK;
}

static json_t *entry_of(qn_dtype dtype, const qn_shape *shape, uint64_t begin, uint64_t end)
{
    json_t *dims = json_array();
    for (int i = 0; i < shape->rank; i++) json_array_append_new(dims, json_integer(shape->dim[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", qn__safetensors_dtype_name(dtype), "shape",
                     dims, "data_offsets", (json_int_t)begin, (json_int_t)end);
}

qn_status qn__safetensors_writer_declare(qn_safetensors_writer *writer, const char *name,
                                         qn_dtype dtype, const qn_shape *shape)
{
    const char *path = qn__writer_path(writer->out);
    uint64_t end;
    QN_CHECK(!writer->header_out, "%s: tensor \"%s\" is declared after data", path, name);
    QN_CHECK(strcmp(name, "__metadata__") != 0, "%s: no tensor can be called \"%s\"", path, name);
    QN_CHECK(!json_object_get(writer->header, name), "%s: tensor \"%s\" is declared twice", path,
             name);
    QN_TRY(qn__shape_check(shape, dtype));
    qn_desc desc = {.dtype = dtype, .layout = QN_ROWS, .shape = *shape};
    QN_CHECK(qn__add_u64(writer->declared, qn__desc_bytes(&desc), &end) && end <= INT64_MAX,
             "%s: the tensors are larger than 2^63 bytes", path);
    json_t *entry = entry_of(dtype, shape, writer->declared, end);
    if (json_object_set_new(writer->header, name, entry) != 0)
        return qn__fail(QN_BAD_ARGUMENT, "%s: tensor name \"%s\" is not UTF-8", path, name);
    writer->declared = end;
    return QN_OK;
}

/* Go to the tensor at the iterator, if any: how much of it is to come, and a fresh hash. */
static qn_status enter(qn_safetensors_writer *writer, void *iterator)
{
    writer->current = iterator;
    writer->left = 0;
    if (!iterator) return QN_OK;
    const json_t *offsets = json_object_get(json_object_iter_value(iterator), "data_offsets");
    writer->left = (uint64_t)(json_integer_value(json_array_get(offsets, 1)) -
                              json_integer_value(json_array_get(offsets, 0)));
    qn__hasher_destroy(&writer->hasher);
    writer->hasher = qn__hasher_create();
    return writer->hasher ? QN_OK : no_memory(qn__writer_path(writer->out));
}

/* Leave every tensor that is complete, noting its hash; empty ones are complete at once. */
static qn_status settle(qn_safetensors_writer *writer)
{
    while (writer->current && writer->left == 0) {
        char text[HASH_TEXT];
        const char *name = json_object_iter_key(writer->current);
        snprintf(text, sizeof text, "%016" PRIx64, qn__hasher_value(writer->hasher));
        if (json_object_set_new(writer->hashes, name, json_string(text)) != 0)
            return no_memory(qn__writer_path(writer->out));
        QN_TRY(enter(writer, json_object_iter_next(writer->header, writer->current)));
    }
    return QN_OK;
}

/* The header as text: __metadata__ first, as others write it, then tensors as declared. The tensors
 * keep their own object, so that it can be walked while data comes in. */
static char *header_text(qn_safetensors_writer *writer)
{
    json_t *all = json_object();
    if (json_object_size(writer->metadata) > 0)
        json_object_set(all, "__metadata__", writer->metadata);
    char *text = NULL;
    if (all && json_object_update(all, writer->header) == 0)
        text = json_dumps(all, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(all);
    return text;
}

static qn_status write_header(qn_safetensors_writer *writer)
{
    const char *path = qn__writer_path(writer->out);
    static const char spaces[] = "                                                                ";
    if (writer->header_out) return QN_OK;
    char *text = header_text(writer);
    if (!text) return no_memory(path);
    uint64_t length = qn__round_up(strlen(text) + 8, HEADER_UNIT) - 8;
    qn_status status = QN_OK;
    if (length > 100000000)
        status = qn__fail(QN_BAD_ARGUMENT, "%s: a header of %" PRIu64 " bytes is more than readers "
                          "accept; write fewer tensors to a file", path, length);
    if (status == QN_OK) status = qn__writer_add(writer->out, &length, sizeof length);
    if (status == QN_OK) status = qn__writer_add(writer->out, text, strlen(text));
    if (status == QN_OK)
        status = qn__writer_add(writer->out, spaces, (size_t)length - strlen(text));
    free(text);
    QN_TRY(status);
    writer->header_out = true;
    QN_TRY(enter(writer, json_object_iter(writer->header)));
    return settle(writer);
}

qn_status qn__safetensors_writer_add(qn_safetensors_writer *writer, const char *name,
                                     const void *bytes, size_t count)
{
    const char *path = qn__writer_path(writer->out);
    QN_TRY(write_header(writer));
    if (count == 0) return QN_OK;
    const char *expected = writer->current ? json_object_iter_key(writer->current) : NULL;
    QN_CHECK(expected, "%s: %zu bytes for tensor \"%s\" after all tensors are complete", path,
             count, name);
    QN_CHECK(strcmp(expected, name) == 0, "%s: bytes for tensor \"%s\", but the order declared has "
             "\"%s\" here", path, name, expected);
    QN_CHECK(count <= writer->left, "%s: %zu bytes for tensor \"%s\", which lacks %" PRIu64, path,
             count, name, writer->left);
    QN_TRY(qn__writer_add(writer->out, bytes, count));
    qn__hasher_add(writer->hasher, bytes, count);
    writer->left -= count;
    return settle(writer);
}

static qn_status check_complete(qn_safetensors_writer *writer)
{
    QN_TRY(write_header(writer));
    QN_CHECK(!writer->current, "%s: tensor \"%s\" lacks %" PRIu64 " bytes",
             qn__writer_path(writer->out), json_object_iter_key(writer->current), writer->left);
    return QN_OK;
}

qn_status qn__safetensors_writer_record(qn_safetensors_writer *writer, json_t **record)
{
    char text[HASH_TEXT];
    const char *path = qn__writer_path(writer->out);
    const char *slash = strrchr(path, '/');
    *record = NULL;
    QN_TRY(check_complete(writer));
    snprintf(text, sizeof text, "%016" PRIx64, qn__writer_hash(writer->out));
    *record = json_pack("{s:s, s:I, s:s, s:O}", "name", slash ? slash + 1 : path, "bytes",
                        (json_int_t)qn__writer_bytes(writer->out), "hash", text, "tensors",
                        writer->hashes);
    return *record ? QN_OK : no_memory(path);
}

qn_status qn__safetensors_writer_finish(qn_safetensors_writer **writer)
{
    qn_status status = check_complete(*writer);
    if (status == QN_OK) status = qn__writer_finish(&(*writer)->out);
    qn__safetensors_writer_destroy(writer);
    return status;
}

void qn__safetensors_writer_destroy(qn_safetensors_writer **writer)
{
    qn_safetensors_writer *old = *writer;
    if (!old) return;
    qn__writer_destroy(&old->out);
    qn__hasher_destroy(&old->hasher);
    json_decref(old->header);
    json_decref(old->hashes);
    json_decref(old->metadata);
    free(old);
    *writer = NULL;
}
