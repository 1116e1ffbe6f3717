/* GGUF in several files, as gguf-split writes them: each says which of how many it is, the first
 * how many tensors there are in all. Names of the others follow from the name of the first, never
 * from what a file says. */
#include "base/check.h"
#include "file/gguf_internal.h"
#include "file/gguf_write.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SHARDS = 65535 };

typedef struct split {
    int64_t no, count, tensors; /* tensors: -1 where it is not said */
} split;

static qn_status read_split(const qn_gguf *gguf, split *said)
{
    *said = (split){.no = 0, .count = 1, .tensors = -1};
    QN_TRY(qn__gguf_i64(gguf, "split.count", false, 0, MAX_SHARDS, &said->count));
    QN_TRY(qn__gguf_i64(gguf, "split.no", said->count > 1, 0, MAX_SHARDS, &said->no));
    return qn__gguf_i64(gguf, "split.tensors.count", false, 0, INT32_MAX, &said->tensors);
}

/* "model-00001-of-00003.gguf" without its last 20 bytes; NULL where the name is another. */
static char *stem_of(const char *path, const split *said)
{
    char *plain = strdup(path), *expected = NULL;
    size_t length = strlen(path), ending = strlen("-00001-of-00003.gguf");
    if (plain && length > ending) {
        plain[length - ending] = 0;
        expected = qn__gguf_shard_path(plain, (int)said->no, (int)said->count);
    }
    bool same = expected && strcmp(expected, path) == 0;
    free(expected);
    if (same) return plain;
    free(plain);
    return NULL;
}

static qn_status add_tensors(qn_gguf *gguf, const qn_gguf *part)
{
    size_t count = gguf->tensor_count + part->tensor_count;
    qn_gguf_tensor *larger = reallocarray(gguf->tensors, count + 1, sizeof *larger);
    if (!larger) return qn__fail(QN_OS_ERROR, "%s: out of memory", part->map.path);
    gguf->tensors = larger;
    gguf->tensor_capacity = count + 1;
    memcpy(larger + gguf->tensor_count, part->tensors, part->tensor_count * sizeof *larger);
    for (size_t i = gguf->tensor_count; i < count; i++) larger[i].file = (int)gguf->part_count;
    gguf->tensor_count = count;
    return QN_OK;
}

/* Names are looked up where they lie, in the list, which stands still from here on. */
static qn_status index_names(qn_gguf *gguf)
{
    qn__name_index_free(&gguf->names);
    for (size_t i = 0; i < gguf->tensor_count; i++) {
        const char *name = gguf->tensors[i].name;
        int64_t earlier;
        QN_TRY(qn__name_index_add(&gguf->names, name, strlen(name), (uint32_t)i, &earlier));
        if (earlier != QN_NAME_ABSENT)
            return qn__fail(QN_BAD_DATA, "%s: tensor \"%s\" is in two shards", gguf->map.path,
                            name);
    }
    return QN_OK;
}

static qn_status check_part(const qn_gguf *part, const split *first, int64_t no)
{
    split said;
    QN_TRY(read_split(part, &said));
    if (said.no == no && said.count == first->count) return QN_OK;
    return qn__fail(QN_BAD_DATA,
                    "%s says it is shard %lld of %lld, its name and the first shard that it is "
                    "shard %lld of %lld: the files are of different models",
                    part->map.path, (long long)said.no + 1, (long long)said.count,
                    (long long)no + 1, (long long)first->count);
}

static qn_status add_part(qn_gguf *gguf, const char *stem, const split *first, int64_t no)
{
    char *path = qn__gguf_shard_path(stem, (int)no, (int)first->count);
    if (!path) return qn__fail(QN_OS_ERROR, "%s: out of memory", gguf->map.path);
    qn_gguf **part = &gguf->parts[gguf->part_count];
    qn_status status = qn__gguf_open_part(path, part);
    free(path);
    if (status != QN_OK)
        return qn__wrap(status, "%s, shard 1 of %lld: ", gguf->map.path, (long long)first->count);
    gguf->part_count++;
    QN_TRY(check_part(*part, first, no));
    return add_tensors(gguf, *part);
}

static qn_status add_parts(qn_gguf *gguf, const char *stem, const split *first)
{
    /* Grown as files are really there: a count alone asks for no memory. */
    for (int64_t no = 1; no < first->count; no++) {
        qn_gguf **larger = reallocarray(gguf->parts, (size_t)no, sizeof *larger);
        if (!larger) return qn__fail(QN_OS_ERROR, "%s: out of memory", gguf->map.path);
        gguf->parts = larger;
        QN_TRY(add_part(gguf, stem, first, no));
    }
    QN_TRY(index_names(gguf));
    if (first->tensors >= 0 && (uint64_t)first->tensors != gguf->tensor_count)
        return qn__fail(QN_BAD_DATA, "%s says the shards have %lld tensors; they have %zu",
                        gguf->map.path, (long long)first->tensors, gguf->tensor_count);
    return QN_OK;
}

qn_status qn__gguf_open_shards(qn_gguf *gguf)
{
    split first;
    QN_TRY(read_split(gguf, &first));
    if (first.count <= 1) return QN_OK;
    if (first.no != 0)
        return qn__fail(QN_BAD_DATA,
                        "%s is shard %lld of %lld: give the first, whose name ends in "
                        "-00001-of-%05lld.gguf",
                        gguf->map.path, (long long)first.no + 1, (long long)first.count,
                        (long long)first.count);
    char *stem = stem_of(gguf->map.path, &first);
    if (!stem)
        return qn__fail(QN_BAD_DATA,
                        "%s is shard 1 of %lld, but its name does not end in "
                        "-00001-of-%05lld.gguf: rename it as it was",
                        gguf->map.path, (long long)first.count, (long long)first.count);
    qn_status status = add_parts(gguf, stem, &first);
    free(stem);
    return status;
}
