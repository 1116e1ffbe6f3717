#include "file/shards.h"

#include "base/check.h"
#include "base/fs.h"
#include "file/writer.h"

#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_WORDS = 256, HEADER_BYTES = HEADER_WORDS * 4, PIECE_TOKENS = 4096 };

static const struct {
    int32_t magic;
    int32_t version;
    size_t bytes; /* of a token */
    int32_t most; /* the largest token */
} kinds[] = {
    [QN_SHARD_U16] = {20240520, 1, 2, UINT16_MAX},
    [QN_SHARD_U32] = {20240801, 7, 4, INT32_MAX},
};

typedef struct shard {
    qn_map map;
    uint64_t first; /* token of the stream */
    uint64_t tokens;
} shard;

struct qn_shards {
    shard *files;
    size_t count;
    qn_shard_kind kind;
    uint64_t tokens;
};

static qn_status read_header(const qn_map *map, qn_shard_kind *kind, uint64_t *tokens)
{
    int32_t h[3];
    if (map->bytes < HEADER_BYTES)
        return qn__fail(QN_BAD_DATA, "%s: %zu bytes are too few for a token shard", map->path,
                        map->bytes);
    memcpy(h, map->data, sizeof h);
    if (h[0] == kinds[QN_SHARD_U16].magic) *kind = QN_SHARD_U16;
    else if (h[0] == kinds[QN_SHARD_U32].magic) *kind = QN_SHARD_U32;
    else
        return qn__fail(QN_BAD_DATA, "%s: not a token shard: it begins with %d, not with %d or %d; "
                        "make one with \"quernel tokenize\"", map->path, h[0],
                        kinds[QN_SHARD_U16].magic, kinds[QN_SHARD_U32].magic);
    if (h[1] != kinds[*kind].version)
        return qn__fail(QN_BAD_DATA, "%s: a token shard of version %d, not %d", map->path, h[1],
                        kinds[*kind].version);
    if (h[2] < 0 || (map->bytes - HEADER_BYTES) / kinds[*kind].bytes != (uint64_t)h[2] ||
        (map->bytes - HEADER_BYTES) % kinds[*kind].bytes != 0)
        return qn__fail(QN_BAD_DATA, "%s: a token shard of %d tokens of %zu bytes, but %zu bytes "
                        "follow its header: truncated; make it again", map->path, h[2],
                        kinds[*kind].bytes, map->bytes - HEADER_BYTES);
    *tokens = (uint64_t)h[2];
    return QN_OK;
}

static qn_status add_file(qn_shards *shards, const char *path)
{
    qn_shard_kind kind = QN_SHARD_U16;
    shard *file = &shards->files[shards->count];
    QN_TRY(qn__map_open(path, &file->map));
    shards->count++;
    QN_TRY(read_header(&file->map, &kind, &file->tokens));
    if (shards->count == 1) shards->kind = kind;
    if (kind != shards->kind)
        return qn__fail(QN_BAD_DATA, "%s has %zu bytes a token, but %s has %zu: shards of one data "
                        "set must be alike", path, kinds[kind].bytes, shards->files[0].map.path,
                        kinds[shards->kind].bytes);
    file->first = shards->tokens;
    shards->tokens += file->tokens; /* below 2^31 a file: cannot wrap */
    return QN_OK;
}

static int by_name(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

qn_status qn__shards_open(const char *pattern, qn_shards **shards)
{
    glob_t found = {0};
    *shards = NULL;
    int result = glob(pattern, GLOB_NOSORT, NULL, &found);
    if (result == GLOB_NOMATCH || (result == 0 && found.gl_pathc == 0))
        return qn__fail(QN_OS_ERROR, "no token shard matches %s", pattern);
    if (result != 0) return qn__fail(QN_OS_ERROR, "cannot list %s", pattern);
    /* By bytes: glob's own order depends on the locale, and with it the data a step sees. */
    qsort(found.gl_pathv, found.gl_pathc, sizeof *found.gl_pathv, by_name);
    qn_status status = QN_OK;
    qn_shards *made = calloc(1, sizeof *made);
    if (made) made->files = calloc(found.gl_pathc, sizeof *made->files);
    if (!made || !made->files) status = qn__fail(QN_OS_ERROR, "%s: out of memory", pattern);
    for (size_t i = 0; i < found.gl_pathc && status == QN_OK; i++)
        status = add_file(made, found.gl_pathv[i]);
    globfree(&found);
    if (status != QN_OK) qn__shards_close(&made);
    *shards = made;
    return status;
}

void qn__shards_close(qn_shards **shards)
{
    qn_shards *old = *shards;
    if (!old) return;
    for (size_t i = 0; i < old->count; i++) qn__map_close(&old->files[i].map);
    free(old->files);
    free(old);
    *shards = NULL;
}

size_t qn__shards_files(const qn_shards *shards)
{
    return shards->count;
}

qn_shard_kind qn__shards_kind(const qn_shards *shards)
{
    return shards->kind;
}

uint64_t qn__shards_tokens(const qn_shards *shards)
{
    return shards->tokens;
}

/* The file that holds a token of the stream, by bisection; empty files are passed over. */
static size_t file_of(const qn_shards *shards, uint64_t token)
{
    size_t low = 0, high = shards->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (shards->files[middle].first <= token) low = middle;
        else high = middle;
    }
    return low;
}

static qn_status read_u32(const shard *file, uint64_t at, size_t count, int32_t *out)
{
    memcpy(out, file->map.data + HEADER_BYTES + at * 4, count * 4);
    for (size_t i = 0; i < count; i++)
        if (out[i] < 0)
            return qn__fail(QN_BAD_DATA, "%s: token %" PRIu64 " is %u, larger than any vocabulary",
                            file->map.path, at + i, (uint32_t)out[i]);
    return QN_OK;
}

static void read_u16(const shard *file, uint64_t at, size_t count, int32_t *out)
{
    const uint8_t *from = file->map.data + HEADER_BYTES + at * 2;
    for (size_t i = 0; i < count; i++) {
        uint16_t token;
        memcpy(&token, from + i * 2, 2);
        out[i] = token;
    }
}

qn_status qn__shards_read(const qn_shards *shards, uint64_t first, size_t count, int32_t *out)
{
    QN_CHECK(first <= shards->tokens && count <= shards->tokens - first,
             "tokens %" PRIu64 " and the %zu after it, of %" PRIu64 " in all", first, count,
             shards->tokens);
    for (size_t i = count ? file_of(shards, first) : 0; count > 0; i++) {
        const shard *file = &shards->files[i];
        uint64_t at = first - file->first;
        size_t here = file->tokens - at < count ? (size_t)(file->tokens - at) : count;
        if (shards->kind == QN_SHARD_U32) QN_TRY(read_u32(file, at, here, out));
        else read_u16(file, at, here, out);
        first += here;
        out += here;
        count -= here;
    }
    return QN_OK;
}

struct qn_shard_writer {
    qn_writer *out;
    qn_shard_kind kind;
    uint64_t tokens;
};

qn_status qn__shard_writer_create(const char *path, qn_shard_kind kind, qn_shard_writer **writer)
{
    *writer = NULL;
    QN_CHECK(kind == QN_SHARD_U16 || kind == QN_SHARD_U32, "shard kind %d does not exist",
             (int)kind);
    int32_t h[HEADER_WORDS] = {kinds[kind].magic, kinds[kind].version};
    qn_shard_writer *made = calloc(1, sizeof *made);
    if (!made) return qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    made->kind = kind;
    qn_status status = qn__writer_create(path, &made->out);
    if (status == QN_OK) status = qn__writer_add(made->out, h, sizeof h);
    if (status != QN_OK) qn__shard_writer_destroy(&made);
    *writer = made;
    return status;
}

static qn_status add_piece(qn_shard_writer *writer, const int32_t *tokens, size_t count)
{
    uint16_t narrow[PIECE_TOKENS];
    for (size_t i = 0; i < count; i++) {
        QN_CHECK(tokens[i] >= 0 && tokens[i] <= kinds[writer->kind].most,
                 "%s: token %d does not fit %zu bytes", qn__writer_path(writer->out), tokens[i],
                 kinds[writer->kind].bytes);
        narrow[i] = (uint16_t)tokens[i];
    }
    bool wide = writer->kind == QN_SHARD_U32;
    return qn__writer_add(writer->out, wide ? (const void *)tokens : narrow,
                          count * kinds[writer->kind].bytes);
}

qn_status qn__shard_writer_add(qn_shard_writer *writer, const int32_t *tokens, size_t count)
{
    QN_CHECK(count <= INT32_MAX - writer->tokens,
             "%s: a shard holds at most 2^31 - 1 tokens: begin another",
             qn__writer_path(writer->out));
    while (count > 0) {
        size_t piece = count < PIECE_TOKENS ? count : PIECE_TOKENS;
        QN_TRY(add_piece(writer, tokens, piece));
        writer->tokens += piece;
        tokens += piece;
        count -= piece;
    }
    return QN_OK;
}

qn_status qn__shard_writer_finish(qn_shard_writer **writer)
{
    int32_t tokens = (int32_t)(*writer)->tokens;
    qn_status status = qn__writer_patch((*writer)->out, 8, &tokens, sizeof tokens);
    if (status == QN_OK) status = qn__writer_finish(&(*writer)->out);
    qn__shard_writer_destroy(writer);
    return status;
}

void qn__shard_writer_destroy(qn_shard_writer **writer)
{
    qn_shard_writer *old = *writer;
    if (!old) return;
    qn__writer_destroy(&old->out);
    free(old);
    *writer = NULL;
}
