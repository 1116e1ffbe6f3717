/* Power cuts: every system call of a save is recorded, and for each instant the disk is rebuilt as
 * a cut at that instant could leave it. After SQLite's crash tests:
 *
 *   - bytes written before the file's last fsync are there; each later write is kept, lost, or
 *     garbage, independently;
 *   - changes of folders survive up to some instant: at least those that an fsync of their folder
 *     has made lasting, at most all.
 *
 * QN_POWER_SEED and QN_POWER_ROUNDS override the seed and the number of disks built for each
 * instant. */
#ifndef FILE_DISK_H
#define FILE_DISK_H

#include "unit/file_support.h"

#include "base/rng.h"
#include "file/writer.h"

#include <ftw.h>
#include <stdbool.h>
#include <sys/stat.h>

enum { MAX_OPS = 1024, MAX_ENTRIES = 128, MAX_FD = 256, MAX_PATH = 512, FOLDER = -1 };

typedef enum kind { CREATE, WRITE, SYNC, RENAME, MAKE_FOLDER, REMOVE, SYNC_FOLDER } kind;

typedef struct op {
    kind what;
    char path[MAX_PATH]; /* relative to the run's parent */
    char to[MAX_PATH];
    int file;
    bytes data;
    uint64_t offset;
} op;

static qn_file_ops real;
static op ops[MAX_OPS];
static size_t op_count;
static int file_of[MAX_FD], file_count;
static char root[MAX_PATH];

static op *record(kind what, const char *path)
{
    assert_true(op_count < MAX_OPS);
    op *made = &ops[op_count++];
    *made = (op){.what = what};
    if (path) {
        assert_memory_equal(path, root, strlen(root));
        snprintf(made->path, MAX_PATH, "%s", path + strlen(root) + 1);
    }
    return made;
}

static int r_create(void *user, const char *path)
{
    int fd = real.create(user, path);
    assert_true(fd >= 0 && fd < MAX_FD);
    file_of[fd] = file_count++;
    record(CREATE, path)->file = file_of[fd];
    return fd;
}

static long r_write(void *user, int fd, const void *from, size_t count, uint64_t offset)
{
    op *made = record(WRITE, NULL);
    made->file = file_of[fd];
    made->offset = offset;
    put(&made->data, from, count);
    return real.write(user, fd, from, count, offset);
}

static int r_sync(void *user, int fd)
{
    record(SYNC, NULL)->file = file_of[fd];
    return real.sync(user, fd);
}

static int r_rename(void *user, const char *from, const char *to)
{
    op *made = record(RENAME, from);
    snprintf(made->to, MAX_PATH, "%s", to + strlen(root) + 1);
    return real.rename(user, from, to);
}

static int r_make_folder(void *user, const char *path)
{
    record(MAKE_FOLDER, path);
    return real.make_folder(user, path);
}

static int r_remove_file(void *user, const char *path)
{
    record(REMOVE, path);
    return real.remove_file(user, path);
}

static int r_remove_folder(void *user, const char *path)
{
    record(REMOVE, path);
    return real.remove_folder(user, path);
}

static int r_sync_folder(void *user, const char *path)
{
    record(SYNC_FOLDER, path);
    return real.sync_folder(user, path);
}

/* The names on the disk that is being rebuilt. */
typedef struct entry {
    char path[MAX_PATH];
    int file; /* FOLDER, a recorded file, or base + i: a file that was there before */
} entry;

static entry base_entries[MAX_ENTRIES], entries[MAX_ENTRIES];
static bytes base_data[MAX_ENTRIES];
static size_t base_count, count;

enum { BASE = 1000000 };

static int note_base(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)walk;
    if (strcmp(path, root) == 0) return 0;
    entry *made = &base_entries[base_count];
    snprintf(made->path, MAX_PATH, "%s", path + strlen(root) + 1);
    made->file = type == FTW_D ? FOLDER : BASE + (int)base_count;
    if (type != FTW_D) base_data[base_count] = file_bytes(path);
    base_count++;
    return 0;
}

static bool is_under(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == 0 || path[length] == '/');
}

static bool is_directly_in(const char *path, const char *folder)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    return *path && strlen(folder) == length && strncmp(path, folder, length) == 0;
}

static void forget(const char *path)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!is_under(entries[i].path, path)) entries[kept++] = entries[i];
    count = kept;
}

static void add(const char *path, int file)
{
    assert_true(count < MAX_ENTRIES);
    snprintf(entries[count].path, MAX_PATH, "%s", path);
    entries[count++].file = file;
}

static void apply(const op *done)
{
    if (done->what == CREATE || done->what == MAKE_FOLDER) {
        forget(done->path);
        add(done->path, done->what == CREATE ? done->file : FOLDER);
    } else if (done->what == REMOVE) {
        forget(done->path);
    } else if (done->what == RENAME) {
        forget(done->to);
        for (size_t i = 0; i < count; i++) {
            char moved[2 * MAX_PATH];
            if (!is_under(entries[i].path, done->path)) continue;
            snprintf(moved, sizeof moved, "%s%s", done->to, entries[i].path + strlen(done->path));
            memcpy(entries[i].path, moved, MAX_PATH);
        }
    }
}

static bool changes_folder(const op *done, const char *folder)
{
    if (done->what == WRITE || done->what == SYNC || done->what == SYNC_FOLDER) return false;
    return is_directly_in(done->path, folder) || is_directly_in(done->to, folder);
}

/* How many operations on folders have reached the disk for sure if the power fails before op n. */
static size_t lasting(size_t n)
{
    size_t sure = 0;
    for (size_t t = 0; t < n; t++) {
        if (ops[t].what != SYNC_FOLDER) continue;
        for (size_t i = sure; i < t; i++)
            if (changes_folder(&ops[i], ops[t].path)) sure = i + 1;
    }
    return sure;
}

static void apply_write(bytes *content, const op *done, qn_rng *rng, bool sure)
{
    uint64_t fate = sure ? 0 : qn__rng_below(rng, 3);
    if (fate == 1) return;
    if (done->offset + done->data.count > content->count)
        put_zeros(content, (size_t)(done->offset + done->data.count - content->count));
    for (size_t i = 0; i < done->data.count; i++)
        content->data[done->offset + i] =
            fate == 0 ? done->data.data[i] : (uint8_t)qn__rng_u32(rng);
}

/* What is in a recorded file. */
static bytes content_of(int file, size_t n, qn_rng *rng)
{
    bytes content = {0};
    size_t synced = 0;
    for (size_t t = 0; t < n; t++)
        if (ops[t].what == SYNC && ops[t].file == file) synced = t;
    for (size_t t = 0; t < n; t++)
        if (ops[t].what == WRITE && ops[t].file == file)
            apply_write(&content, &ops[t], rng, t < synced);
    return content;
}

static int by_path(const void *left, const void *right)
{
    return strcmp(((const entry *)left)->path, ((const entry *)right)->path);
}

/* Build the disk in `folder` as a power cut before op n leaves it. */
static inline void rebuild(const char *folder, size_t n, qn_rng *rng)
{
    size_t sure = lasting(n), reached = sure + qn__rng_below(rng, n - sure + 1);
    memcpy(entries, base_entries, sizeof entries);
    count = base_count;
    for (size_t t = 0; t < reached; t++) apply(&ops[t]);
    qsort(entries, count, sizeof *entries, by_path); /* folders before what is in them */
    for (size_t i = 0; i < count; i++) {
        const char *path = path_in(folder, entries[i].path);
        if (entries[i].file == FOLDER) {
            assert_int_equal(mkdir(path, 0777), 0);
        } else if (entries[i].file >= BASE) {
            const bytes *data = &base_data[entries[i].file - BASE];
            file_write(path, data->data, data->count);
        } else {
            bytes data = content_of(entries[i].file, n, rng);
            file_write(path, data.data ? data.data : (const uint8_t *)"", data.count);
            free(data.data);
        }
    }
}

static inline int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    return walk->level == 0 ? 0 : remove(path);
}

static inline uint64_t setting(const char *name, uint64_t usual)
{
    const char *text = getenv(name);
    return text && *text ? (uint64_t)atoll(text) : usual;
}

/* Record what `save` does to the disk below `root`, which must be set. */
static inline void record_calls(qn_status (*save)(void *user), void *user)
{
    static const qn_file_ops recording = {
        .create = r_create,
        .write = r_write,
        .sync = r_sync,
        .rename = r_rename,
        .make_folder = r_make_folder,
        .remove_file = r_remove_file,
        .sync_folder = r_sync_folder,
        .remove_folder = r_remove_folder,
    };
    qn_file_ops table = recording;
    real = *qn__file_ops();
    table.close = real.close;
    op_count = base_count = 0;
    file_count = 0;
    assert_int_equal(nftw(root, note_base, 16, FTW_PHYS), 0);
    qn__file_ops_set(&table);
    qn_status status = save(user);
    qn__file_ops_set(NULL);
    assert_int_equal(status, QN_OK);
}

/* Empty a disk, for the next one. */
static inline void wipe(const char *disk)
{
    assert_int_equal(nftw(disk, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static inline void forget_calls(void)
{
    for (size_t i = 0; i < op_count; i++) free(ops[i].data.data);
    for (size_t i = 0; i < base_count; i++) free(base_data[i].data);
    memset(base_data, 0, sizeof base_data);
}

#endif
