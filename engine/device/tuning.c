#include "device/tuning.h"

#include "base/fs.h"
#include "base/log.h"
#include "device/opencl.h"

#include <errno.h>
#include <fcntl.h>
#include <quernel/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_ENTRIES = 1 << 16,
    MAX_LINE = 511,
    MAX_FILE = 64 << 20,
    LOCK_TRIES = 200 /* of 10 ms */
};

struct qn_tuning {
    json_t *entries; /* line -> object, as in the file */
    json_t *fresh;   /* those set since the last keep */
};

/* ---- modes ---- */

static const char *const mode_names[] = {"off", "read", "on"};

const char *qn__tune_mode_name(qn_tune_mode mode)
{
    return mode_names[mode];
}

qn_status qn__tune_mode(const char *word, qn_tune_mode *mode)
{
    const char *from = "tune";
    *mode = QN_TUNE_READ;
    if (!word || !*word) {
        from = "QN_TUNE";
        word = getenv("QN_TUNE");
    }
    if (!word || !*word) return QN_OK;
    for (int i = 0; i < 3; i++) {
        if (strcmp(word, mode_names[i]) != 0) continue;
        *mode = (qn_tune_mode)i;
        return QN_OK;
    }
    return qn__fail(QN_BAD_ARGUMENT, "%s is \"%s\"; it must be off, read or on", from, word);
}

/* ---- the table ---- */

qn_status qn__tuning_create(qn_tuning **tuning)
{
    qn_tuning *t = calloc(1, sizeof *t);
    *tuning = NULL;
    if (t) {
        t->entries = json_object();
        t->fresh = json_object();
    }
    if (!t || !t->entries || !t->fresh) {
        qn__tuning_destroy(&t);
        return qn__fail(QN_OS_ERROR, "out of memory");
    }
    *tuning = t;
    return QN_OK;
}

void qn__tuning_destroy(qn_tuning **tuning)
{
    if (!*tuning) return;
    json_decref((*tuning)->entries);
    json_decref((*tuning)->fresh);
    free(*tuning);
    *tuning = NULL;
}

int qn__tuning_count(const qn_tuning *tuning)
{
    return (int)json_object_size(tuning->entries);
}

static bool printable(const char *text, size_t limit)
{
    size_t length = strlen(text);
    if (length == 0 || length > limit) return false;
    for (; *text; text++)
        if (*text < ' ' || *text > '~') return false;
    return true;
}

static qn_status read_text(const json_t *object, const char *origin, const char *key, bool required,
                           char text[QN_TUNING_TEXT])
{
    const char *value = NULL;
    *text = 0;
    QN_TRY(qn__json_string(object, origin, key, required, &value));
    if (!value) return QN_OK;
    if (!printable(value, QN_TUNING_TEXT - 1))
        return qn__fail(QN_BAD_DATA, "%s: \"%s\" of a tuning entry is not the name of a choice",
                        origin, key);
    snprintf(text, QN_TUNING_TEXT, "%s", value);
    return QN_OK;
}

static qn_status read_entry(const json_t *value, const char *line, const char *origin,
                            qn_tuned *entry)
{
    *entry = (qn_tuned){0};
    if (!printable(line, MAX_LINE) || !json_is_object(value))
        return qn__fail(QN_BAD_DATA, "%s: a tuning entry is not a case line with an object",
                        origin);
    QN_TRY(read_text(value, origin, "choice", true, entry->choice));
    QN_TRY(read_text(value, origin, "default", false, entry->preset));
    QN_TRY(qn__json_f64(value, origin, "default_ms", false, &entry->preset_ms));
    QN_TRY(qn__json_f64(value, origin, "best_ms", false, &entry->choice_ms));
    if (!(entry->preset_ms >= 0 && entry->choice_ms >= 0))
        return qn__fail(QN_BAD_DATA, "%s: a tuning entry has a negative time", origin);
    return QN_OK;
}

bool qn__tuning_find(const qn_tuning *tuning, const char *line, qn_tuned *entry)
{
    const json_t *value = json_object_get(tuning->entries, line);
    return value && read_entry(value, line, "tuning", entry) == QN_OK;
}

qn_status qn__tuning_set(qn_tuning *tuning, const char *line, const qn_tuned *entry)
{
    json_t *value = json_pack("{s:s,s:s,s:f,s:f}", "choice", entry->choice, "default",
                              *entry->preset ? entry->preset : entry->choice, "default_ms",
                              entry->preset_ms, "best_ms", entry->choice_ms);
    qn_tuned again;
    qn_status status =
        value ? read_entry(value, line, "tuning", &again) : qn__fail(QN_OS_ERROR, "out of memory");
    if (status == QN_OK && (json_object_set(tuning->entries, line, value) != 0 ||
                            json_object_set(tuning->fresh, line, value) != 0))
        status = qn__fail(QN_OS_ERROR, "out of memory");
    json_decref(value);
    return status;
}

void qn__tuning_drop(qn_tuning *tuning, const char *line)
{
    json_object_del(tuning->entries, line);
}

void qn__tuning_each(qn_tuning *tuning,
                     void (*fn)(void *user, const char *line, const qn_tuned *entry), void *user)
{
    const char *line;
    json_t *value;
    void *next;
    qn_tuned entry;
    json_object_foreach_safe(tuning->entries, next, line, value)
    {
        if (read_entry(value, line, "tuning", &entry) != QN_OK) continue;
        char *copy = strdup(line); /* it goes with the entry, should fn drop it */
        if (copy) fn(user, copy, &entry);
        free(copy);
    }
}

json_t *qn__tuning_to_json(const qn_tuning *tuning)
{
    return json_deep_copy(tuning->entries);
}

qn_status qn__tuning_from_json(qn_tuning *tuning, const json_t *entries, const char *origin)
{
    const char *line;
    json_t *value;
    qn_tuned entry;
    if (!json_is_object(entries))
        return qn__fail(QN_BAD_DATA, "%s: tuning entries are not a JSON object", origin);
    if (json_object_size(entries) > MAX_ENTRIES)
        return qn__fail(QN_BAD_DATA, "%s: %zu tuning entries; at most %d", origin,
                        json_object_size(entries), MAX_ENTRIES);
    json_object_foreach((json_t *)(uintptr_t)entries, line, value)
        QN_TRY(read_entry(value, line, origin, &entry));
    if (json_object_update(tuning->entries, (json_t *)(uintptr_t)entries) != 0)
        return qn__fail(QN_OS_ERROR, "out of memory");
    return QN_OK;
}

/* ---- the file ---- */

char *qn__tuning_path(const qn_caps *caps)
{
    uint64_t key = qn__kernel_sources_key(qn__caps_key(caps));
    return qn__cache_path("tuning/%016llx.json", (unsigned long long)key);
}

static qn_status read_file(const char *path, json_t **root)
{
    struct stat info;
    int64_t format = 0;
    *root = NULL;
    if (stat(path, &info) == 0 && info.st_size > MAX_FILE)
        return qn__fail(QN_BAD_DATA, "%s: larger than any tuning file", path);
    QN_TRY(qn__json_load(path, root));
    qn_status status = qn__json_i64(*root, path, "format", true, 1, 1, &format);
    if (status != QN_OK) {
        json_decref(*root);
        *root = NULL;
    }
    return status;
}

void qn__tuning_load(qn_tuning *tuning, const char *path)
{
    json_t *root = NULL;
    struct stat info;
    if (stat(path, &info) != 0 && errno == ENOENT) return;
    qn_status status = read_file(path, &root);
    if (status == QN_OK)
        status = qn__tuning_from_json(tuning, json_object_get(root, "entries"), path);
    json_decref(root);
    if (status != QN_OK)
        qn__log(QN_LOG_WARN, "tuning entries are not used: %s; delete the file", qn_last_error());
}

/* Another process has it for as long as a file takes to write; after seconds, go on without. */
static int lock_beside(const char *path)
{
    char name[4096];
    const struct timespec while_waiting = {.tv_nsec = 10000000};
    snprintf(name, sizeof name, "%s.lock", path);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    for (int i = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && i < LOCK_TRIES; i++)
        nanosleep(&while_waiting, NULL);
    return fd;
}

static qn_status write_file(qn_tuning *tuning, const char *path, const qn_caps *caps)
{
    qn_tuning *there;
    QN_TRY(qn__tuning_create(&there));
    qn__tuning_load(there, path);
    json_object_update(there->entries, tuning->fresh);
    json_t *root =
        json_pack("{s:i,s:s,s:s,s:s,s:O}", "format", 1, "device", caps->name, "driver",
                  caps->driver, "version", qn_version_string(), "entries", there->entries);
    qn_status status =
        root ? qn__json_save(path, root) : qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    json_decref(root);
    qn__tuning_destroy(&there);
    return status;
}

qn_status qn__tuning_keep(qn_tuning *tuning, const char *path, const qn_caps *caps)
{
    if (json_object_size(tuning->fresh) == 0) return QN_OK;
    int lock = lock_beside(path);
    qn_status status = write_file(tuning, path, caps);
    if (lock >= 0) close(lock);
    if (status == QN_OK) json_object_clear(tuning->fresh);
    return status;
}

/* ---- of a device ---- */

qn_tuning *qn__device_tuning(qn_device *device, bool *fresh)
{
    *fresh = !device->tuning;
    if (device->tuning || qn__tuning_create(&device->tuning) != QN_OK) return device->tuning;
    char *path = qn__tuning_path(&device->caps);
    if (path) qn__tuning_load(device->tuning, path);
    free(path);
    return device->tuning;
}
