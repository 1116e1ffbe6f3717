/* Loading checkpoints: never trust the newest, take the newest that is right. */
#include "base/check.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "file/checkpoint_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct qn_checkpoint {
    char *folder;
    json_t *manifest;
    qn_safetensors **files; /* as in the manifest's "files" */
    size_t count;
};

static const json_t *record_at(const qn_checkpoint *checkpoint, size_t i)
{
    return json_array_get(json_object_get(checkpoint->manifest, "files"), i);
}

static const char *name_at(const qn_checkpoint *checkpoint, size_t i)
{
    return json_string_value(json_object_get(record_at(checkpoint, i), "name"));
}

static qn_status open_files(qn_checkpoint *made)
{
    size_t count = json_array_size(json_object_get(made->manifest, "files"));
    made->files = calloc(count ? count : 1, sizeof *made->files);
    if (!made->files) return qn__fail(QN_OS_ERROR, "%s: out of memory", made->folder);
    for (size_t i = 0; i < count; i++) {
        char *path = qn__path_join(made->folder, name_at(made, i));
        if (!path) return qn__fail(QN_OS_ERROR, "%s: out of memory", made->folder);
        qn_status status = qn__safetensors_open(path, &made->files[i]);
        free(path);
        QN_TRY(status);
        made->count++;
        const json_t *tensors = json_object_get(record_at(made, i), "tensors");
        if (json_object_size(tensors) != qn__safetensors_count(made->files[i]))
            return qn__fail(QN_BAD_DATA, "%s: %zu tensors, but the manifest lists %zu",
                            qn__safetensors_path(made->files[i]),
                            qn__safetensors_count(made->files[i]), json_object_size(tensors));
    }
    return QN_OK;
}

static qn_status open_step(const char *folder, int64_t step, bool verify,
                           qn_checkpoint **checkpoint)
{
    *checkpoint = NULL;
    qn_checkpoint *made = calloc(1, sizeof *made);
    if (made) made->folder = strdup(folder);
    qn_status status = made && made->folder ? qn__checkpoint_check(folder, step, &made->manifest)
                                            : qn__fail(QN_OS_ERROR, "%s: out of memory", folder);
    if (status == QN_OK) status = open_files(made);
    if (status == QN_OK && verify) status = qn__checkpoint_verify(made);
    if (status != QN_OK) qn__checkpoint_close(&made);
    *checkpoint = made;
    return status;
}

qn_status qn__checkpoint_open(const char *folder, bool verify, qn_checkpoint **checkpoint)
{
    return open_step(folder, QN_STEP_ANY, verify, checkpoint);
}

qn_status qn__checkpoint_open_newest(const char *run, bool verify, qn_checkpoint **checkpoint)
{
    qn_step_folder *steps;
    size_t count, refused = 0;
    *checkpoint = NULL;
    QN_TRY(qn__checkpoint_scan(run, &steps, &count));
    for (size_t i = 0; i < count && !*checkpoint; i++) {
        if (steps[i].kind == QN_STEP_TMP) continue;
        char *path;
        qn_status status = qn__checkpoint_path(run, steps[i].step, steps[i].kind, &path);
        if (status == QN_OK) status = open_step(path, steps[i].step, verify, checkpoint);
        free(path);
        if (status == QN_OK) break;
        refused++;
        qn__log(QN_LOG_WARN, "checkpoint of step %lld refused: %s", (long long)steps[i].step,
                qn_last_error());
    }
    free(steps);
    if (*checkpoint || refused == 0) return QN_OK;
    qn__wrap(QN_BAD_DATA, "%s: none of %zu checkpoints can be used; the last one tried: ", run,
             refused);
    return QN_BAD_DATA;
}

void qn__checkpoint_close(qn_checkpoint **checkpoint)
{
    qn_checkpoint *old = *checkpoint;
    if (!old) return;
    for (size_t i = 0; i < old->count; i++) qn__safetensors_close(&old->files[i]);
    free(old->files);
    json_decref(old->manifest);
    free(old->folder);
    free(old);
    *checkpoint = NULL;
}

int64_t qn__checkpoint_step(const qn_checkpoint *checkpoint)
{
    return json_integer_value(json_object_get(checkpoint->manifest, "step"));
}

const char *qn__checkpoint_folder(const qn_checkpoint *checkpoint)
{
    return checkpoint->folder;
}

const json_t *qn__checkpoint_state(const qn_checkpoint *checkpoint)
{
    return json_object_get(checkpoint->manifest, "state");
}

size_t qn__checkpoint_file_count(const qn_checkpoint *checkpoint)
{
    return checkpoint->count;
}

const qn_safetensors *qn__checkpoint_file_at(const qn_checkpoint *checkpoint, size_t i)
{
    QN_ASSERT(i < checkpoint->count);
    return checkpoint->files[i];
}

const qn_safetensors *qn__checkpoint_file(const qn_checkpoint *checkpoint, const char *name)
{
    for (size_t i = 0; i < checkpoint->count; i++)
        if (strcmp(name_at(checkpoint, i), name) == 0) return checkpoint->files[i];
    return NULL;
}

static bool hash_is(uint64_t hash, const json_t *expected)
{
    char text[QN_HASH_TEXT];
    const char *said = json_string_value(expected);
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    return said && strcmp(text, said) == 0;
}

/* Which tensor of a file with a wrong hash is it? If none, the header's bytes are not ours. */
static qn_status blame(const qn_safetensors *file, const json_t *record)
{
    const json_t *hashes = json_object_get(record, "tensors");
    for (size_t i = 0; i < qn__safetensors_count(file); i++) {
        const qn_range *range = qn__safetensors_at(file, i);
        if (!hash_is(qn__hash(range->data, range->bytes), json_object_get(hashes, range->name)))
            return qn__fail(QN_BAD_DATA, "%s: tensor \"%s\" is damaged: its hash differs",
                            qn__safetensors_path(file), range->name);
    }
    return qn__fail(QN_BAD_DATA, "%s: the header is damaged: the file's hash differs",
                    qn__safetensors_path(file));
}

qn_status qn__checkpoint_verify(const qn_checkpoint *checkpoint)
{
    for (size_t i = 0; i < checkpoint->count; i++) {
        qn_map map;
        const json_t *record = record_at(checkpoint, i);
        QN_TRY(qn__map_open(qn__safetensors_path(checkpoint->files[i]), &map));
        bool good = hash_is(qn__hash(map.data, map.bytes), json_object_get(record, "hash"));
        qn__map_close(&map);
        if (!good) return blame(checkpoint->files[i], record);
    }
    return QN_OK;
}
