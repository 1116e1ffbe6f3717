#include "file/hf_folder.h"

#include "base/check.h"
#include "base/fs.h"
#include "base/json.h"
#include "file/name_index.h"
#include "file/safetensors.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SHARDS = 65536 };

#define WHOLE "model.safetensors"
#define INDEX "model.safetensors.index.json"

struct qn_hf_folder {
    char *path;
    char *config_path;
    json_t *config;
    json_t *index; /* NULL if there is one file; else it owns the shards' names */
    qn_safetensors **shards;
    size_t shard_count;
    size_t shard_capacity;
    qn_name_index shard_names;
    const qn_range **ranges;
    size_t count;
    qn_name_index names;
};

static qn_status no_memory(const qn_hf_folder *folder)
{
    return qn__fail(QN_OS_ERROR, "%s: out of memory", folder->path);
}

static qn_status open_shard(qn_hf_folder *folder, const char *name)
{
    if (folder->shard_count == folder->shard_capacity) {
        size_t wanted = folder->shard_capacity ? folder->shard_capacity * 2 : 4;
        void *larger = reallocarray(folder->shards, wanted, sizeof *folder->shards);
        if (!larger) return no_memory(folder);
        folder->shards = larger;
        folder->shard_capacity = wanted;
    }
    char *path = qn__path_join(folder->path, name);
    if (!path) return no_memory(folder);
    qn_status status = qn__safetensors_open(path, &folder->shards[folder->shard_count]);
    free(path);
    if (status == QN_OK) folder->shard_count++;
    return status;
}

/* The number of the shard of that name, opened when first seen. */
static qn_status shard_of(qn_hf_folder *folder, const char *name, int64_t *shard)
{
    if (!qn__name_is_plain(name))
        return qn__fail(QN_BAD_DATA, "%s/" INDEX ": \"%.200s\" is not the plain name of a file in "
                        "this folder", folder->path, name);
    *shard = qn__name_index_find(&folder->shard_names, name, strlen(name));
    if (*shard != QN_NAME_ABSENT) return QN_OK;
    if (folder->shard_count >= MAX_SHARDS)
        return qn__fail(QN_BAD_DATA, "%s/" INDEX ": more than %d files", folder->path, MAX_SHARDS);
    int64_t earlier;
    QN_TRY(open_shard(folder, name));
    *shard = (int64_t)folder->shard_count - 1;
    return qn__name_index_add(&folder->shard_names, name, strlen(name), (uint32_t)*shard, &earlier);
}

static qn_status add_range(qn_hf_folder *folder, const qn_range *range)
{
    int64_t earlier;
    QN_TRY(qn__name_index_add(&folder->names, range->name, strlen(range->name),
                              (uint32_t)folder->count, &earlier));
    folder->ranges[folder->count++] = range;
    return QN_OK;
}

static qn_status reserve(qn_hf_folder *folder, size_t count)
{
    folder->ranges = calloc(count ? count : 1, sizeof *folder->ranges);
    return folder->ranges ? QN_OK : no_memory(folder);
}

static qn_status open_whole(qn_hf_folder *folder)
{
    QN_TRY(open_shard(folder, WHOLE));
    const qn_safetensors *file = folder->shards[0];
    QN_TRY(reserve(folder, qn__safetensors_count(file)));
    for (size_t i = 0; i < qn__safetensors_count(file); i++)
        QN_TRY(add_range(folder, qn__safetensors_at(file, i)));
    return QN_OK;
}

/* weight_map says which file has each tensor; the file must agree. */
static qn_status open_sharded(qn_hf_folder *folder, const char *index_path)
{
    const char *name;
    json_t *where;
    QN_TRY(qn__json_load(index_path, &folder->index));
    json_t *map = json_object_get(folder->index, "weight_map");
    if (!json_is_object(map))
        return qn__fail(QN_BAD_DATA, "%s: \"weight_map\" is missing or not an object", index_path);
    QN_TRY(reserve(folder, json_object_size(map)));
    json_object_foreach(map, name, where) {
        int64_t shard = 0;
        if (!json_is_string(where))
            return qn__fail(QN_BAD_DATA, "%s: \"%.200s\" is not in a file", index_path, name);
        QN_TRY(shard_of(folder, json_string_value(where), &shard));
        const qn_range *range = qn__safetensors_find(folder->shards[shard], name);
        if (!range)
            return qn__fail(QN_BAD_DATA, "%s: tensor \"%.200s\" should be in %s, but is not: the "
                            "folder mixes two models, or a download is not complete", index_path,
                            name, json_string_value(where));
        QN_TRY(add_range(folder, range));
    }
    return QN_OK;
}

static qn_status open_weights(qn_hf_folder *folder)
{
    char *whole = qn__path_join(folder->path, WHOLE);
    char *index = qn__path_join(folder->path, INDEX);
    qn_status status = QN_OK;
    if (!whole || !index) status = no_memory(folder);
    else if (qn__is_file(whole)) status = open_whole(folder);
    else if (qn__is_file(index)) status = open_sharded(folder, index);
    else
        status = qn__fail(QN_BAD_DATA, "%s has neither " WHOLE " nor " INDEX ": convert its "
                          "weights to safetensors", folder->path);
    free(whole);
    free(index);
    return status;
}

static qn_status open_all(qn_hf_folder *folder)
{
    if (!qn__is_file(folder->config_path))
        return qn__fail(QN_BAD_DATA, "%s has no config.json: not a Hugging Face folder",
                        folder->path);
    QN_TRY(qn__json_load(folder->config_path, &folder->config));
    if (!json_is_object(folder->config))
        return qn__fail(QN_BAD_DATA, "%s is not a JSON object", folder->config_path);
    return open_weights(folder);
}

qn_status qn__hf_folder_open(const char *path, qn_hf_folder **folder)
{
    *folder = NULL;
    qn_hf_folder *made = calloc(1, sizeof *made);
    if (!made) return qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    made->path = strdup(path);
    made->config_path = qn__path_join(path, "config.json");
    qn_status status = made->path && made->config_path
                           ? open_all(made)
                           : qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    if (status != QN_OK) qn__hf_folder_close(&made);
    *folder = made;
    return status;
}

void qn__hf_folder_close(qn_hf_folder **folder)
{
    qn_hf_folder *old = *folder;
    if (!old) return;
    qn__name_index_free(&old->names);
    qn__name_index_free(&old->shard_names);
    free(old->ranges);
    for (size_t i = 0; i < old->shard_count; i++) qn__safetensors_close(&old->shards[i]);
    free(old->shards);
    json_decref(old->index);
    json_decref(old->config);
    free(old->config_path);
    free(old->path);
    free(old);
    *folder = NULL;
}

const char *qn__hf_folder_path(const qn_hf_folder *folder)
{
    return folder->path;
}

const json_t *qn__hf_folder_config(const qn_hf_folder *folder)
{
    return folder->config;
}

const char *qn__hf_folder_config_path(const qn_hf_folder *folder)
{
    return folder->config_path;
}

size_t qn__hf_folder_file_count(const qn_hf_folder *folder)
{
    return folder->shard_count;
}

const qn_safetensors *qn__hf_folder_file(const qn_hf_folder *folder, size_t i)
{
    QN_ASSERT(i < folder->shard_count);
    return folder->shards[i];
}

size_t qn__hf_folder_count(const qn_hf_folder *folder)
{
    return folder->count;
}

const qn_range *qn__hf_folder_at(const qn_hf_folder *folder, size_t i)
{
    QN_ASSERT(i < folder->count);
    return folder->ranges[i];
}

const qn_range *qn__hf_folder_find(const qn_hf_folder *folder, const char *name)
{
    int64_t found = qn__name_index_find(&folder->names, name, strlen(name));
    return found == QN_NAME_ABSENT ? NULL : folder->ranges[found];
}

/* ---- what lies beside the weights ---- */

static qn_status copy_file(const char *from, const char *to, const char *name)
{
    char *source = qn__path_join(from, name), *target = qn__path_join(to, name), *text = NULL;
    size_t bytes = 0;
    qn_status status = source && target ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
    if (status == QN_OK && qn__is_file(source)) {
        status = qn__file_read(source, &text, &bytes);
        if (status == QN_OK) status = qn__file_replace(target, text, bytes);
    }
    free(text);
    free(source);
    free(target);
    return status;
}

qn_status qn__hf_folder_copy_tokenizer(const char *from, const char *to)
{
    static const char *const names[] = {
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "vocab.json",     "merges.txt",            "tokenizer.model",         "chat_template.jinja",
        "generation_config.json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        QN_TRY(copy_file(from, to, names[i]));
    return QN_OK;
}
