/* Writing GGUF. Metadata gathers in memory as it will lie in the file; the first byte of a tensor
 * settles which shard each tensor is in and where, and writes every shard's head. */
#include "file/gguf_write.h"

#include "base/check.h"
#include "base/checked.h"
#include "base/str.h"
#include "file/gguf_internal.h"
#include "file/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_ALIGNMENT = 32,
    MAX_KEY = 65535,
    MAX_SHARDS = 500 /* all are open at once */
};

typedef struct out_tensor {
    char name[QN_GGUF_NAME];
    qn_ggml_type type;
    int rank;
    int64_t ne[QN_GGUF_RANK];
    uint64_t bytes, offset; /* offset: in its shard's data */
    int shard;
} out_tensor;

struct qn_gguf_writer {
    char *path;
    uint64_t shard_bytes;
    uint32_t alignment;
    qn_str values; /* metadata as it lies in the file */
    uint64_t value_count;
    char **keys;
    size_t key_count, key_capacity;
    qn_name_index key_index;
    uint64_t pending; /* elements of an array of strings that are still to come */
    out_tensor *tensors;
    size_t tensor_count, tensor_capacity;
    qn_writer **shards; /* NULL until the first byte of a tensor */
    int shard_count;
    size_t current;   /* tensor being written */
    uint64_t written; /* bytes of it */
};

static qn_status no_memory(const qn_gguf_writer *writer)
{
    return qn__fail(QN_OS_ERROR, "%s: out of memory", writer->path);
}

qn_status qn__gguf_writer_create(const char *path, uint64_t shard_bytes, qn_gguf_writer **writer)
{
    *writer = NULL;
    qn_gguf_writer *made = calloc(1, sizeof *made);
    if (!made) return qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    made->path = strdup(path);
    made->shard_bytes = shard_bytes;
    made->alignment = DEFAULT_ALIGNMENT;
    if (!made->path) {
        qn__gguf_writer_destroy(&made);
        return qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    }
    *writer = made;
    return QN_OK;
}

/* Room for one more element. */
static qn_status reserve(const qn_gguf_writer *writer, void *array, size_t count, size_t *capacity,
                         size_t size, void **larger)
{
    *larger = array;
    if (count < *capacity) return QN_OK;
    size_t wanted = *capacity ? *capacity * 2 : 64;
    void *grown = reallocarray(array, wanted, size);
    if (!grown) return no_memory(writer);
    *larger = grown;
    *capacity = wanted;
    return QN_OK;
}

/* ---- metadata ---- */

static void put(qn_str *to, const void *bytes, size_t count)
{
    qn__str_add_bytes(to, bytes, count);
}

static void put_u32(qn_str *to, uint32_t value)
{
    put(to, &value, sizeof value);
}

static void put_u64(qn_str *to, uint64_t value)
{
    put(to, &value, sizeof value);
}

static void put_string(qn_str *to, const void *text, size_t bytes)
{
    put_u64(to, bytes);
    put(to, text, bytes);
}

static qn_status check_key(const qn_gguf_writer *writer, const char *key, size_t bytes)
{
    QN_CHECK(bytes >= 1 && bytes <= MAX_KEY, "%s: a metadata key of %zu bytes, not in [1, %d]",
             writer->path, bytes, MAX_KEY);
    for (size_t i = 0; i < bytes; i++)
        QN_CHECK(key[i] >= 0x20 && key[i] < 0x7f, "%s: a metadata key with byte 0x%02x",
                 writer->path, (unsigned char)key[i]);
    return QN_OK;
}

static qn_status begin_value(qn_gguf_writer *writer, const char *key, size_t bytes,
                             qn_gguf_type type)
{
    int64_t earlier;
    void *larger;
    QN_CHECK(!writer->shards, "%s: metadata \"%.*s\" after the first tensor", writer->path,
             (int)bytes, key);
    QN_CHECK(writer->pending == 0, "%s: %llu strings of the array before \"%.*s\" are missing",
             writer->path, (unsigned long long)writer->pending, (int)bytes, key);
    QN_TRY(check_key(writer, key, bytes));
    QN_TRY(reserve(writer, writer->keys, writer->key_count, &writer->key_capacity,
                   sizeof *writer->keys, &larger));
    writer->keys = larger;
    char *copy = strndup(key, bytes);
    if (!copy) return no_memory(writer);
    writer->keys[writer->key_count++] = copy;
    QN_TRY(qn__name_index_add(&writer->key_index, copy, bytes, 0, &earlier));
    QN_CHECK(earlier == QN_NAME_ABSENT, "%s: metadata key \"%s\" twice", writer->path, copy);
    put_string(&writer->values, key, bytes);
    put_u32(&writer->values, (uint32_t)type);
    writer->value_count++;
    return QN_OK;
}

static qn_status put_scalar(qn_gguf_writer *writer, const char *key, qn_gguf_type type,
                            const void *value)
{
    QN_TRY(begin_value(writer, key, strlen(key), type));
    put(&writer->values, value, qn__gguf_type_bytes((uint32_t)type));
    return QN_OK;
}

qn_status qn__gguf_writer_u32(qn_gguf_writer *writer, const char *key, uint32_t value)
{
    if (strcmp(key, "general.alignment") == 0) {
        QN_CHECK(value >= 8 && value <= 1u << 20 && (value & (value - 1)) == 0,
                 "%s: an alignment of %u is no power of two in [8, 2^20]", writer->path, value);
        writer->alignment = value;
    }
    return put_scalar(writer, key, QN_GGUF_U32, &value);
}

qn_status qn__gguf_writer_f32(qn_gguf_writer *writer, const char *key, float value)
{
    return put_scalar(writer, key, QN_GGUF_F32, &value);
}

qn_status qn__gguf_writer_bool(qn_gguf_writer *writer, const char *key, bool value)
{
    uint8_t byte = value;
    return put_scalar(writer, key, QN_GGUF_BOOL, &byte);
}

qn_status qn__gguf_writer_string(qn_gguf_writer *writer, const char *key, const void *text,
                                 size_t bytes)
{
    QN_TRY(begin_value(writer, key, strlen(key), QN_GGUF_STRING));
    put_string(&writer->values, text, bytes);
    return QN_OK;
}

qn_status qn__gguf_writer_text(qn_gguf_writer *writer, const char *key, const char *text)
{
    return qn__gguf_writer_string(writer, key, text, strlen(text));
}

static qn_status begin_array(qn_gguf_writer *writer, const char *key, qn_gguf_type element,
                             uint64_t count)
{
    QN_TRY(begin_value(writer, key, strlen(key), QN_GGUF_ARRAY));
    put_u32(&writer->values, (uint32_t)element);
    put_u64(&writer->values, count);
    return QN_OK;
}

qn_status qn__gguf_writer_array(qn_gguf_writer *writer, const char *key, qn_gguf_type element,
                                const void *elements, uint64_t count)
{
    size_t size = qn__gguf_type_bytes((uint32_t)element);
    uint64_t bytes;
    QN_CHECK(size > 0 && qn__mul_u64(count, size, &bytes),
             "%s: metadata \"%s\": %llu elements of type %d", writer->path, key,
             (unsigned long long)count, (int)element);
    QN_TRY(begin_array(writer, key, element, count));
    put(&writer->values, elements, (size_t)bytes);
    return QN_OK;
}

qn_status qn__gguf_writer_strings(qn_gguf_writer *writer, const char *key, uint64_t count)
{
    QN_TRY(begin_array(writer, key, QN_GGUF_STRING, count));
    writer->pending = count;
    return QN_OK;
}

qn_status qn__gguf_writer_element(qn_gguf_writer *writer, const void *text, size_t bytes)
{
    QN_CHECK(writer->pending > 0, "%s: a string more than its array has", writer->path);
    writer->pending--;
    put_string(&writer->values, text, bytes);
    return QN_OK;
}

/* Bytes of an entry's elements in its file. */
static size_t value_bytes(const qn_gguf_value *value)
{
    size_t last;
    if (value->element != QN_GGUF_STRING)
        return (size_t)value->count * qn__gguf_type_bytes((uint32_t)value->element);
    if (value->count == 0) return 0;
    const char *text = qn__gguf_element_string(value, value->count - 1, &last);
    return (size_t)((const uint8_t *)text + last - value->data);
}

qn_status qn__gguf_writer_copy(qn_gguf_writer *writer, const qn_gguf_value *value)
{
    static const char own[] = "split.", alignment[] = "general.alignment";
    if (value->key_bytes >= sizeof own - 1 && memcmp(value->key, own, sizeof own - 1) == 0)
        return QN_OK;
    if (value->key_bytes == sizeof alignment - 1 && value->type == QN_GGUF_U32 &&
        memcmp(value->key, alignment, sizeof alignment - 1) == 0)
        return qn__gguf_writer_u32(writer, alignment, (uint32_t)qn__gguf_element_i64(value, 0));
    QN_TRY(begin_value(writer, value->key, value->key_bytes, value->type));
    if (value->type == QN_GGUF_ARRAY) {
        put_u32(&writer->values, (uint32_t)value->element);
        put_u64(&writer->values, value->count);
    }
    put(&writer->values, value->data, value_bytes(value));
    return QN_OK;
}

/* ---- tensors ---- */

qn_ggml_type qn__ggml_type_of(qn_dtype dtype)
{
    for (uint32_t type = 0; type < QN_GGML_TYPE_COUNT; type++) {
        const qn_ggml_traits *traits = qn__ggml_traits(type);
        if (traits->block && traits->dtype == dtype && dtype != QN_DTYPE_COUNT)
            return (qn_ggml_type)type;
    }
    return QN_GGML_TYPE_COUNT;
}

static qn_status tensor_bytes(const qn_gguf_writer *writer, out_tensor *tensor)
{
    const qn_ggml_traits *traits = qn__ggml_traits(tensor->type);
    int64_t elements = 1;
    QN_CHECK(traits->block, "%s: tensor \"%s\" has type %d, which ggml does not have", writer->path,
             tensor->name, (int)tensor->type);
    for (int i = 0; i < tensor->rank; i++)
        QN_CHECK(tensor->ne[i] >= 0 && qn__mul_i64(elements, tensor->ne[i], &elements),
                 "%s: tensor \"%s\" is too large", writer->path, tensor->name);
    QN_CHECK(tensor->ne[0] % traits->block == 0,
             "%s: tensor \"%s\" has rows of %lld elements, but a block of %s holds %d",
             writer->path, tensor->name, (long long)tensor->ne[0], traits->name, traits->block);
    QN_CHECK(qn__mul_u64((uint64_t)elements / (uint64_t)traits->block, (uint64_t)traits->bytes,
                         &tensor->bytes),
             "%s: tensor \"%s\" is too large", writer->path, tensor->name);
    return QN_OK;
}

qn_status qn__gguf_writer_tensor(qn_gguf_writer *writer, const char *name, qn_ggml_type type,
                                 int rank, const int64_t *ne)
{
    void *larger;
    size_t length = strlen(name);
    QN_CHECK(!writer->shards, "%s: tensor \"%s\" is declared after the first was written",
             writer->path, name);
    QN_CHECK(length >= 1 && length < QN_GGUF_NAME,
             "%s: tensor name \"%s\" has %zu bytes, not in "
             "[1, %d]",
             writer->path, name, length, QN_GGUF_NAME - 1);
    for (const char *at = name; *at; at++)
        QN_CHECK((unsigned char)*at >= 0x20 && *at != 0x7f, "%s: a tensor name with byte 0x%02x",
                 writer->path, (unsigned char)*at);
    QN_CHECK(rank >= 0 && rank <= QN_GGUF_RANK,
             "%s: tensor \"%s\" has %d dimensions, not in "
             "[0, %d]",
             writer->path, name, rank, QN_GGUF_RANK);
    QN_TRY(reserve(writer, writer->tensors, writer->tensor_count, &writer->tensor_capacity,
                   sizeof *writer->tensors, &larger));
    writer->tensors = larger;
    out_tensor *tensor = &writer->tensors[writer->tensor_count];
    *tensor = (out_tensor){.type = type, .rank = rank, .ne = {1, 1, 1, 1}};
    memcpy(tensor->name, name, length);
    for (int i = 0; i < rank; i++) tensor->ne[i] = ne[i];
    QN_TRY(tensor_bytes(writer, tensor));
    writer->tensor_count++;
    return QN_OK;
}

static qn_status check_names(const qn_gguf_writer *writer)
{
    qn_name_index names = {0};
    qn_status status = QN_OK;
    for (size_t i = 0; i < writer->tensor_count && status == QN_OK; i++) {
        const char *name = writer->tensors[i].name;
        int64_t earlier = QN_NAME_ABSENT;
        status = qn__name_index_add(&names, name, strlen(name), (uint32_t)i, &earlier);
        if (status == QN_OK && earlier != QN_NAME_ABSENT)
            status = qn__fail(QN_BAD_ARGUMENT, "%s: tensor \"%s\" twice", writer->path, name);
    }
    qn__name_index_free(&names);
    return status;
}

/* Fill shards one after another; a tensor never lies in two. */
static qn_status place(qn_gguf_writer *writer)
{
    uint64_t end = 0, padded;
    writer->shard_count = 1;
    for (size_t i = 0; i < writer->tensor_count; i++) {
        out_tensor *tensor = &writer->tensors[i];
        QN_CHECK(qn__pad_u64(tensor->bytes, writer->alignment, &padded) &&
                     end <= UINT64_MAX - padded,
                 "%s: the tensors up to \"%s\" are too large", writer->path, tensor->name);
        if (writer->shard_bytes > 0 && end > 0 && end + padded > writer->shard_bytes) {
            writer->shard_count++;
            end = 0;
        }
        tensor->shard = writer->shard_count - 1;
        tensor->offset = end;
        end += padded;
    }
    QN_CHECK(writer->shard_count <= MAX_SHARDS, "%s: %d shards; at most %d: make them larger",
             writer->path, writer->shard_count, MAX_SHARDS);
    return QN_OK;
}

char *qn__gguf_shard_path(const char *path, int index, int count)
{
    static const char ending[] = ".gguf";
    size_t length = strlen(path), room = length + 32;
    if (length > sizeof ending - 1 && strcmp(path + length - (sizeof ending - 1), ending) == 0)
        length -= sizeof ending - 1;
    char *made = malloc(room);
    if (made) snprintf(made, room, "%.*s-%05d-of-%05d.gguf", (int)length, path, index + 1, count);
    return made;
}

/* The keys of gguf-split. */
static void put_split(const qn_gguf_writer *writer, int shard, qn_str *head)
{
    static const char no[] = "split.no", count[] = "split.count", tensors[] = "split.tensors.count";
    uint16_t numbers[] = {(uint16_t)shard, (uint16_t)writer->shard_count};
    put_string(head, no, sizeof no - 1);
    put_u32(head, QN_GGUF_U16);
    put(head, &numbers[0], 2);
    put_string(head, count, sizeof count - 1);
    put_u32(head, QN_GGUF_U16);
    put(head, &numbers[1], 2);
    put_string(head, tensors, sizeof tensors - 1);
    put_u32(head, QN_GGUF_I32);
    put_u32(head, (uint32_t)writer->tensor_count);
}

static void put_alignment(const qn_gguf_writer *writer, qn_str *head)
{
    static const char key[] = "general.alignment";
    put_string(head, key, sizeof key - 1);
    put_u32(head, QN_GGUF_U32);
    put_u32(head, writer->alignment);
}

static void put_tensors(const qn_gguf_writer *writer, int shard, qn_str *head)
{
    for (size_t i = 0; i < writer->tensor_count; i++) {
        const out_tensor *tensor = &writer->tensors[i];
        if (tensor->shard != shard) continue;
        put_string(head, tensor->name, strlen(tensor->name));
        put_u32(head, (uint32_t)tensor->rank);
        for (int d = 0; d < tensor->rank; d++) put_u64(head, (uint64_t)tensor->ne[d]);
        put_u32(head, (uint32_t)tensor->type);
        put_u64(head, tensor->offset);
    }
}

static qn_status write_padding(qn_gguf_writer *writer, qn_writer *to)
{
    static const uint8_t zeros[4096];
    uint64_t missing = qn__round_up(qn__writer_bytes(to), writer->alignment) - qn__writer_bytes(to);
    for (; missing > 0; missing -= missing < sizeof zeros ? missing : sizeof zeros)
        QN_TRY(
            qn__writer_add(to, zeros, (size_t)(missing < sizeof zeros ? missing : sizeof zeros)));
    return QN_OK;
}

static qn_status write_head(qn_gguf_writer *writer, int shard)
{
    bool split = writer->shard_count > 1, first = shard == 0;
    bool aligned = !first && writer->alignment != DEFAULT_ALIGNMENT;
    uint64_t tensors = 0;
    qn_str head = {0};
    for (size_t i = 0; i < writer->tensor_count; i++) tensors += writer->tensors[i].shard == shard;
    put(&head, "GGUF", 4);
    put_u32(&head, 3);
    put_u64(&head, tensors);
    put_u64(&head, (first ? writer->value_count : 0) + (split ? 3 : 0) + aligned);
    if (first) put(&head, writer->values.data, writer->values.length);
    if (aligned) put_alignment(writer, &head);
    if (split) put_split(writer, shard, &head);
    put_tensors(writer, shard, &head);
    qn_status status = head.failed ? no_memory(writer)
                                   : qn__writer_add(writer->shards[shard], head.data, head.length);
    qn__str_free(&head);
    return status == QN_OK && tensors > 0 ? write_padding(writer, writer->shards[shard]) : status;
}

static qn_status begin(qn_gguf_writer *writer)
{
    QN_CHECK(writer->pending == 0, "%s: %llu strings of the last array are missing", writer->path,
             (unsigned long long)writer->pending);
    if (writer->values.failed) return no_memory(writer);
    QN_TRY(check_names(writer));
    QN_TRY(place(writer));
    writer->shards = calloc((size_t)writer->shard_count, sizeof(qn_writer *));
    if (!writer->shards) return no_memory(writer);
    for (int i = 0; i < writer->shard_count; i++) {
        char *path = writer->shard_count == 1
                         ? strdup(writer->path)
                         : qn__gguf_shard_path(writer->path, i, writer->shard_count);
        qn_status status = path ? qn__writer_create(path, &writer->shards[i]) : no_memory(writer);
        free(path);
        QN_TRY(status);
        QN_TRY(write_head(writer, i));
    }
    return QN_OK;
}

/* Past tensors that have all their bytes. */
static qn_status step(qn_gguf_writer *writer)
{
    while (writer->current < writer->tensor_count &&
           writer->written == writer->tensors[writer->current].bytes) {
        QN_TRY(write_padding(writer, writer->shards[writer->tensors[writer->current].shard]));
        writer->current++;
        writer->written = 0;
    }
    return QN_OK;
}

qn_status qn__gguf_writer_add(qn_gguf_writer *writer, const char *name, const void *bytes,
                              size_t count)
{
    if (!writer->shards) QN_TRY(begin(writer));
    if (count == 0) return QN_OK;
    QN_TRY(step(writer));
    const out_tensor *next =
        writer->current < writer->tensor_count ? &writer->tensors[writer->current] : NULL;
    QN_CHECK(next && strcmp(next->name, name) == 0, "%s: bytes of tensor \"%s\"; \"%s\" is next",
             writer->path, name, next ? next->name : "the end");
    QN_CHECK(count <= next->bytes - writer->written, "%s: tensor \"%s\" has %llu bytes, not %llu",
             writer->path, name, (unsigned long long)next->bytes,
             (unsigned long long)(writer->written + count));
    QN_TRY(qn__writer_add(writer->shards[next->shard], bytes, count));
    writer->written += count;
    return QN_OK;
}

/* The first shard, which leads to the others, becomes visible last. */
static qn_status settle(qn_gguf_writer *writer)
{
    if (!writer->shards) QN_TRY(begin(writer));
    QN_TRY(step(writer));
    QN_CHECK(writer->current == writer->tensor_count, "%s: tensor \"%s\" has %llu of %llu bytes",
             writer->path, writer->tensors[writer->current].name,
             (unsigned long long)writer->written,
             (unsigned long long)writer->tensors[writer->current].bytes);
    for (int i = writer->shard_count - 1; i >= 0; i--)
        QN_TRY(qn__writer_finish(&writer->shards[i]));
    return QN_OK;
}

qn_status qn__gguf_writer_finish(qn_gguf_writer **writer)
{
    qn_status status = settle(*writer);
    qn__gguf_writer_destroy(writer);
    return status;
}

void qn__gguf_writer_destroy(qn_gguf_writer **writer)
{
    qn_gguf_writer *old = *writer;
    if (!old) return;
    for (int i = 0; old->shards && i < old->shard_count; i++) qn__writer_destroy(&old->shards[i]);
    free(old->shards);
    for (size_t i = 0; i < old->key_count; i++) free(old->keys[i]);
    free(old->keys);
    qn__name_index_free(&old->key_index);
    qn__str_free(&old->values);
    free(old->tensors);
    free(old->path);
    free(old);
    *writer = NULL;
}
