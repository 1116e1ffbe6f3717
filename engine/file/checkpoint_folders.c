/* The folders of a run: their names, listing them, checking one, removing one. */
#include "base/check.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "file/checkpoint_internal.h"
#include "file/name_index.h"
#include "file/writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NAME_BYTES = 64, MAX_DIGITS = 18 };

static const char *const suffix[] = {
    [QN_STEP_WHOLE] = "", [QN_STEP_OLD] = ".old", [QN_STEP_TMP] = ".tmp"};

static void format_name(const qn_step_folder *folder, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "step-%08" PRId64 "%s", folder->step, suffix[folder->kind]);
}

/* Only names that we would write ourselves: read the number, write the name, compare. */
static bool parse_name(const char *name, qn_step_folder *folder)
{
    char again[NAME_BYTES];
    size_t digits = 0;
    if (strncmp(name, "step-", 5) != 0) return false;
    folder->step = 0;
    for (const char *at = name + 5; *at >= '0' && *at <= '9'; at++) {
        if (++digits > MAX_DIGITS) return false;
        folder->step = folder->step * 10 + (*at - '0');
    }
    for (int kind = QN_STEP_WHOLE; kind <= QN_STEP_TMP; kind++) {
        folder->kind = (qn_step_kind)kind;
        format_name(folder, again);
        if (strcmp(name, again) == 0) return true;
    }
    return false;
}

static int newest_first(const void *left, const void *right)
{
    const qn_step_folder *a = left, *b = right;
    if (a->step != b->step) return a->step > b->step ? -1 : 1;
    return (int)a->kind - (int)b->kind;
}

static bool is_real_folder(int parent, const char *name)
{
    struct stat info;
    return fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode);
}

qn_status qn__checkpoint_scan(const char *run, qn_step_folder **steps, size_t *count)
{
    size_t capacity = 0;
    *steps = NULL;
    *count = 0;
    DIR *dir = opendir(run);
    if (!dir && errno == ENOENT) return QN_OK;
    if (!dir) return qn__fail(QN_OS_ERROR, "cannot read folder %s: %s", run, strerror(errno));
    for (struct dirent *entry; (entry = readdir(dir));) {
        qn_step_folder folder;
        if (!parse_name(entry->d_name, &folder)) continue;
        if (!is_real_folder(dirfd(dir), entry->d_name)) continue;
        if (*count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            void *larger = reallocarray(*steps, capacity, sizeof **steps);
            if (!larger) {
                free(*steps);
                *steps = NULL;
                closedir(dir);
                return qn__fail(QN_OS_ERROR, "%s: out of memory", run);
            }
            *steps = larger;
        }
        (*steps)[(*count)++] = folder;
    }
    closedir(dir);
    if (*count) qsort(*steps, *count, sizeof **steps, newest_first);
    return QN_OK;
}

qn_status qn__checkpoint_path(const char *run, int64_t step, qn_step_kind kind, char **path)
{
    char name[NAME_BYTES];
    format_name(&(qn_step_folder){.step = step, .kind = kind}, name);
    *path = qn__path_join(run, name);
    return *path ? QN_OK : qn__fail(QN_OS_ERROR, "%s: out of memory", run);
}

qn_status qn__checkpoint_manifest_hash(const json_t *manifest, char text[QN_HASH_TEXT])
{
    json_t *copy = json_copy((json_t *)(uintptr_t)manifest);
    char *dump = NULL;
    if (copy) {
        json_object_del(copy, "hash");
        dump = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS);
    }
    json_decref(copy);
    if (!dump) return qn__fail(QN_OS_ERROR, QN_MANIFEST ": out of memory");
    snprintf(text, QN_HASH_TEXT, "%016" PRIx64, qn__hash(dump, strlen(dump)));
    free(dump);
    return QN_OK;
}

/* One line of "files": a plain name, a size that the file really has, hashes. */
static qn_status check_record(const char *folder, const char *origin, const json_t *record)
{
    const char *name = NULL, *hash = NULL;
    int64_t bytes = 0;
    struct stat info;
    QN_TRY(qn__json_string(record, origin, "name", true, &name));
    QN_TRY(qn__json_string(record, origin, "hash", true, &hash));
    QN_TRY(qn__json_i64(record, origin, "bytes", true, 0, INT64_MAX, &bytes));
    if (!qn__name_is_plain(name))
        return qn__fail(QN_BAD_DATA, "%s: \"%.200s\" is not a plain file name", origin, name);
    if (strlen(hash) != QN_HASH_TEXT - 1 || !json_is_object(json_object_get(record, "tensors")))
        return qn__fail(QN_BAD_DATA, "%s: the hashes of \"%s\" are missing", origin, name);
    char *path = qn__path_join(folder, name);
    if (!path) return qn__fail(QN_OS_ERROR, "%s: out of memory", folder);
    bool there = stat(path, &info) == 0 && S_ISREG(info.st_mode);
    free(path);
    if (!there) return qn__fail(QN_BAD_DATA, "%s: file \"%s\" is missing", folder, name);
    if (info.st_size != bytes)
        return qn__fail(QN_BAD_DATA, "%s: file \"%s\" has %lld bytes, not the %lld written", folder,
                        name, (long long)info.st_size, (long long)bytes);
    return QN_OK;
}

static qn_status check_manifest(const char *folder, const char *origin, int64_t expected_step,
                                const json_t *manifest)
{
    const char *format = NULL, *hash = NULL;
    int64_t version = 0, step = 0;
    char expected[QN_HASH_TEXT];
    size_t i;
    const json_t *record;
    QN_TRY(qn__json_string(manifest, origin, "format", true, &format));
    if (strcmp(format, QN_MANIFEST_FORMAT) != 0)
        return qn__fail(QN_BAD_DATA, "%s: format \"%.64s\" is not \"" QN_MANIFEST_FORMAT "\"",
                        origin, format);
    QN_TRY(qn__json_i64(manifest, origin, "version", true, 1, INT64_MAX, &version));
    if (version > QN_MANIFEST_VERSION)
        return qn__fail(QN_UNSUPPORTED, "%s: version %lld is newer than this program, which reads "
                        "up to %d", origin, (long long)version, QN_MANIFEST_VERSION);
    QN_TRY(qn__json_string(manifest, origin, "hash", true, &hash));
    QN_TRY(qn__checkpoint_manifest_hash(manifest, expected));
    if (strcmp(hash, expected) != 0)
        return qn__fail(QN_BAD_DATA, "%s: its hash is %s, but it says %.16s: it is damaged", origin,
                        expected, hash);
    QN_TRY(qn__json_i64(manifest, origin, "step", true, 0, INT64_MAX, &step));
    if (expected_step != QN_STEP_ANY && step != expected_step)
        return qn__fail(QN_BAD_DATA, "%s holds step %lld: it was renamed", folder,
                        (long long)step);
    const json_t *files = json_object_get(manifest, "files");
    if (!json_is_array(files) || !json_is_object(json_object_get(manifest, "state")))
        return qn__fail(QN_BAD_DATA, "%s: \"files\" or \"state\" is missing", origin);
    json_array_foreach(files, i, record) QN_TRY(check_record(folder, origin, record));
    return QN_OK;
}

qn_status qn__checkpoint_check(const char *folder, int64_t step, json_t **manifest)
{
    json_t *root = NULL;
    if (manifest) *manifest = NULL;
    char *path = qn__path_join(folder, QN_MANIFEST);
    if (!path) return qn__fail(QN_OS_ERROR, "%s: out of memory", folder);
    qn_status status =
        qn__is_file(path)
            ? qn__json_load(path, &root)
            : qn__fail(QN_BAD_DATA, "%s has no " QN_MANIFEST ": it was never finished", folder);
    if (status == QN_OK) status = check_manifest(folder, path, step, root);
    free(path);
    if (status == QN_OK && manifest) *manifest = root;
    else json_decref(root);
    return status;
}

static bool remove_in(const qn_file_ops *ops, const char *folder, const char *name)
{
    char *path = qn__path_join(folder, name);
    bool good = path && (ops->remove_file(ops->user, path) == 0 || errno == ENOENT);
    free(path);
    return good;
}

qn_status qn__checkpoint_remove(const char *folder)
{
    const qn_file_ops *ops = qn__file_ops();
    bool good = remove_in(ops, folder, QN_MANIFEST) && ops->sync_folder(ops->user, folder) == 0;
    DIR *dir = good ? opendir(folder) : NULL;
    good = good && dir;
    for (struct dirent *entry; good && (entry = readdir(dir));) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
            good = remove_in(ops, folder, name);
    }
    int error = errno;
    if (dir) closedir(dir);
    if (good && ops->remove_folder(ops->user, folder) != 0) {
        error = errno;
        good = false;
    }
    if (!good) return qn__fail(QN_CANNOT_WRITE, "cannot remove %s: %s", folder, strerror(error));
    return QN_OK;
}
