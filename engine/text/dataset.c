#include "text/dataset.h"

#include "base/check.h"
#include "base/checked.h"
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_DEPTH = 64, MAX_FILES = 10000000, LINE_BYTES = 64 << 20 };

/* ---- which files ---- */

static bool ends_with(const char *text, const char *ending)
{
    size_t length = strlen(text), tail = strlen(ending);
    return length > tail && strcmp(text + length - tail, ending) == 0;
}

static bool is_lines(const char *path)
{
    return ends_with(path, ".jsonl") || ends_with(path, ".ndjson");
}

static bool is_wanted(const char *name)
{
    return ends_with(name, ".txt") || ends_with(name, ".md") || is_lines(name);
}

static qn_status look_at(qn__source *source)
{
    struct stat info;
    if (stat(source->path, &info) != 0)
        return qn__fail(QN_OS_ERROR, "cannot open %s: %s", source->path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return qn__fail(QN_OS_ERROR, "%s is not a regular file", source->path);
    source->bytes = (uint64_t)info.st_size;
    const uint64_t identity[] = {(uint64_t)info.st_dev,         (uint64_t)info.st_ino,
                                 (uint64_t)info.st_mtim.tv_sec, (uint64_t)info.st_mtim.tv_nsec,
                                 (uint64_t)info.st_ctim.tv_sec, (uint64_t)info.st_ctim.tv_nsec};
    memcpy(source->identity, identity, sizeof identity);
    return QN_OK;
}

/* Takes `path`. */
static qn_status add_file(qn__dataset *d, char *path)
{
    qn__source source = {.path = path, .kind = is_lines(path) ? QN__SOURCE_LINES : QN__SOURCE_TEXT};
    void *larger = NULL;
    qn_status status = look_at(&source);
    if (status == QN_OK && d->count >= MAX_FILES)
        status = qn__fail(QN_BAD_ARGUMENT, "%s: more than %d files", path, MAX_FILES);
    if (status == QN_OK)
        status = qn__text_grow(d->source, &d->capacity, d->count + 1, sizeof source, &larger);
    if (status == QN_OK) d->source = larger;
    if (status == QN_OK && !qn__add_u64(d->bytes, source.bytes, &d->bytes))
        status = qn__fail(QN_BAD_DATA, "%s: the files' sizes overflow", path);
    if (status != QN_OK) {
        free(path);
        return status;
    }
    d->source[d->count++] = source;
    d->lines |= source.kind == QN__SOURCE_LINES;
    return QN_OK;
}

static qn_status walk(qn__dataset *d, const char *folder, int depth);

/* One name in a folder: a file (also through a link), or a folder (not through one). */
static qn_status visit(qn__dataset *d, const char *folder, const char *name, int depth)
{
    struct stat own, target;
    if (name[0] == '.') return QN_OK;
    char *path = qn__path_join(folder, name);
    if (!path) return qn__fail(QN_OS_ERROR, "out of memory");
    qn_status status = QN_OK;
    if (lstat(path, &own) != 0)
        status = qn__fail(QN_OS_ERROR, "cannot look at %s: %s", path, strerror(errno));
    else if (S_ISDIR(own.st_mode)) status = walk(d, path, depth + 1);
    else if (is_wanted(name) && stat(path, &target) == 0 && S_ISREG(target.st_mode))
        return add_file(d, path);
    else if (is_wanted(name) && S_ISLNK(own.st_mode) && stat(path, &target) != 0)
        status = qn__fail(QN_OS_ERROR, "%s is a link to nothing", path);
    free(path);
    return status;
}

static qn_status walk(qn__dataset *d, const char *folder, int depth)
{
    if (depth > MAX_DEPTH)
        return qn__fail(QN_BAD_DATA, "%s: folders are nested deeper than %d levels", folder,
                        MAX_DEPTH);
    DIR *list = opendir(folder);
    if (!list) return qn__fail(QN_OS_ERROR, "cannot open folder %s: %s", folder, strerror(errno));
    qn_status status = QN_OK;
    for (struct dirent *entry; status == QN_OK && (errno = 0, entry = readdir(list));)
        status = visit(d, folder, entry->d_name, depth);
    if (status == QN_OK && errno)
        status = qn__fail(QN_OS_ERROR, "cannot read folder %s: %s", folder, strerror(errno));
    closedir(list);
    return status;
}

static int by_path(const void *left, const void *right)
{
    const qn__source *a = left, *b = right;
    return strcmp(a->path, b->path);
}

static qn_status add_path(qn__dataset *d, const char *path, size_t bytes)
{
    char *copy = strndup(path, bytes);
    if (!copy) return qn__fail(QN_OS_ERROR, "out of memory");
    while (bytes > 1 && copy[bytes - 1] == '/') copy[--bytes] = 0;
    if (!qn__is_folder(copy)) return add_file(d, copy);
    size_t before = d->count;
    qn_status status = walk(d, copy, 0);
    if (status == QN_OK && d->count == before)
        status = qn__fail(QN_BAD_DATA, "%s: no .txt, .md, .jsonl or .ndjson file is in it", copy);
    if (status == QN_OK) qsort(d->source + before, d->count - before, sizeof *d->source, by_path);
    free(copy);
    return status;
}

static bool is_list(const char *paths)
{
    return strchr(paths, ',') && !qn__is_file(paths) && !qn__is_folder(paths);
}

bool qn__dataset_is_plain(const char *paths)
{
    return !is_list(paths) && !qn__is_folder(paths) && !is_lines(paths);
}

static qn_status add_all(qn__dataset *d, const char *paths)
{
    if (!is_list(paths)) return add_path(d, paths, strlen(paths));
    for (const char *at = paths; *at;) {
        size_t bytes = strcspn(at, ",");
        QN_CHECK(bytes > 0, "\"%s\": a path between two commas is empty", paths);
        QN_TRY(add_path(d, at, bytes));
        at += bytes + (at[bytes] == ',');
    }
    return QN_OK;
}

qn_status qn__dataset_open(const char *paths, qn__dataset *dataset)
{
    *dataset = (qn__dataset){.plain = qn__dataset_is_plain(paths)};
    qn_status status = add_all(dataset, paths);
    if (status == QN_OK && dataset->bytes == 0)
        status = qn__fail(QN_BAD_DATA, "%s is empty", paths);
    if (status != QN_OK) qn__dataset_close(dataset);
    return status;
}

void qn__dataset_close(qn__dataset *dataset)
{
    for (size_t i = 0; i < dataset->count; i++) free(dataset->source[i].path);
    free(dataset->source);
    *dataset = (qn__dataset){0};
}

qn_status qn__dataset_check_same(const qn__dataset *dataset)
{
    for (size_t i = 0; i < dataset->count; i++) {
        const qn__source *then = &dataset->source[i];
        qn__source now = *then;
        QN_TRY(look_at(&now));
        if (now.bytes != then->bytes ||
            memcmp(now.identity, then->identity, sizeof now.identity) != 0)
            return qn__fail(QN_BAD_DATA,
                            "%s changed while it was read: start again when it is "
                            "complete",
                            then->path);
    }
    return QN_OK;
}

/* ---- documents ---- */

typedef struct reader {
    qn__document_fn fn;
    void *user;
    qn__document document;
    const char *path;
    uint64_t before; /* bytes of the files before this one */
} reader;

static qn_status read_text(reader *r, const qn_map *map)
{
    qn__span span = {
        .text = (const char *)map->data, .bytes = map->bytes, .special = true, .learned = true};
    qn__document_clear(&r->document);
    r->document.plain = r->document.end_learned = true;
    QN_TRY(qn__document_add(&r->document, span));
    return r->fn(r->user, &r->document, r->path, r->before + map->bytes);
}

static qn_status read_line(reader *r, const char *text, size_t bytes, uint64_t line, uint64_t done)
{
    json_t *root;
    if (bytes > LINE_BYTES)
        return qn__fail(QN_BAD_DATA, "%s:%" PRIu64 ": a line of %zu bytes; at most %d", r->path,
                        line, bytes, LINE_BYTES);
    QN_TRY(qn__json_parse_line(text, bytes, r->path, line, &root));
    qn__document_clear(&r->document);
    qn_status status = qn__document_json(&r->document, root, r->path, line);
    if (status == QN_OK) status = r->fn(r->user, &r->document, r->path, done);
    if (status ==
        QN_BAD_ARGUMENT) /* a text that the tokenizer cannot encode, a role without place */
        status = qn__wrap(QN_BAD_DATA, "%s:%" PRIu64 ": ", r->path, line);
    json_decref(root);
    return status;
}

static bool is_blank(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (!strchr(" \t\r", text[i]) || !text[i]) return false;
    return true;
}

static qn_status read_lines(reader *r, const qn_map *map)
{
    const char *text = (const char *)map->data;
    uint64_t line = 0;
    size_t at = map->bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    while (at < map->bytes) {
        const char *end = memchr(text + at, '\n', map->bytes - at);
        size_t bytes = end ? (size_t)(end - text) - at : map->bytes - at;
        size_t next = at + bytes + (end != NULL);
        line++;
        if (!is_blank(text + at, bytes))
            QN_TRY(read_line(r, text + at, bytes, line, r->before + next));
        at = next;
    }
    return QN_OK;
}

static qn_status read_source(reader *r, const qn__source *source)
{
    qn_map map;
    QN_TRY(qn__map_open(source->path, &map));
    r->path = source->path;
    qn_status status = QN_OK;
    if (map.bytes == 0) status = QN_OK;
    else if (source->kind == QN__SOURCE_LINES) status = read_lines(r, &map);
    else status = read_text(r, &map);
    qn__map_close(&map);
    return status;
}

qn_status qn__dataset_each(const qn__dataset *dataset, qn__document_fn fn, void *user)
{
    reader r = {.fn = fn, .user = user, .document.family = dataset->family};
    qn_status status = QN_OK;
    for (size_t i = 0; status == QN_OK && i < dataset->count; i++) {
        status = read_source(&r, &dataset->source[i]);
        r.before += dataset->source[i].bytes;
    }
    qn__document_free(&r.document);
    return status;
}
