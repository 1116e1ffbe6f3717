#include "train/token_file.h"

#include "base/check.h"
#include "base/checked.h"
#include "base/hash.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 16 << 20 };

static uint64_t head_hash(const qn_token_head *head)
{
    return qn__hash(head, offsetof(qn_token_head, head_hash));
}

/* Bytes of the words, padded, and of all that follows the header. */
static bool body_sizes(const qn_token_head *h, uint64_t *words, uint64_t *body)
{
    uint64_t ends;
    return qn__mul_u64(h->tokens, h->word_bytes, words) && qn__pad_u64(*words, 8, words) &&
           qn__mul_u64(h->documents, 8, &ends) && qn__add_u64(*words, ends, body);
}

static qn_status check_head(const qn_map *map, uint64_t key, qn_token_head *h)
{
    uint64_t words, body;
    if (map->bytes < sizeof *h)
        return qn__fail(QN_BAD_DATA, "%s: %zu bytes are too few for a token file", map->path,
                        map->bytes);
    memcpy(h, map->data, sizeof *h);
    if (h->magic != QN_TOKEN_MAGIC || h->version != QN_TOKEN_VERSION ||
        h->head_hash != head_hash(h))
        return qn__fail(QN_BAD_DATA, "%s: not a token file of version %d, or damaged", map->path,
                        QN_TOKEN_VERSION);
    if (h->key != key)
        return qn__fail(QN_BAD_DATA, "%s: made from other data or in another way", map->path);
    if ((h->word_bytes != 2 && h->word_bytes != 4) || h->val_token > h->tokens ||
        h->val_document > h->documents || h->documents > h->tokens ||
        !body_sizes(h, &words, &body) || map->bytes - sizeof *h != body)
        return qn__fail(QN_BAD_DATA,
                        "%s: %zu bytes do not fit a header of %" PRIu64 " tokens and %" PRIu64
                        " documents: truncated",
                        map->path, map->bytes, h->tokens, h->documents);
    return QN_OK;
}

static qn_status check_body(const qn_map *map, const qn_token_head *h,
                            qn_token_progress_fn progress, void *user)
{
    const uint8_t *body = map->data + sizeof *h;
    size_t bytes = map->bytes - sizeof *h;
    qn_hasher *hasher = qn__hasher_create();
    if (!hasher) return qn__fail(QN_OS_ERROR, "out of memory");
    bool stopped = false;
    for (size_t at = 0; at < bytes && !stopped; at += PIECE) {
        size_t here = bytes - at < PIECE ? bytes - at : PIECE;
        qn__hasher_add(hasher, body + at, here);
        stopped = progress && !progress(user, (int64_t)(at + here), (int64_t)bytes);
    }
    uint64_t hash = qn__hasher_value(hasher);
    qn__hasher_destroy(&hasher);
    if (stopped) return qn__fail(QN_INTERRUPTED, "stopped while checking %s", map->path);
    if (hash == h->body_hash) return QN_OK;
    return qn__fail(QN_BAD_DATA, "%s: its hash is not the one it was written with: damaged",
                    map->path);
}

static qn_status check_ends(const qn_token_file *file, const char *name)
{
    uint64_t before = 0;
    const qn_token_head *h = &file->head;
    for (uint64_t d = 0; d < h->documents; before = file->ends[d++])
        if (file->ends[d] <= before || file->ends[d] > h->tokens)
            return qn__fail(QN_BAD_DATA,
                            "%s: document %" PRIu64 " ends at token %" PRIu64
                            ", before it begins or after the last",
                            name, d, file->ends[d]);
    uint64_t val = h->val_document ? file->ends[h->val_document - 1] : 0;
    if (before == h->tokens && val == h->val_token) return QN_OK;
    return qn__fail(QN_BAD_DATA, "%s: its documents do not hold its tokens", name);
}

/* After the header. */
static qn_status find_parts(qn_token_file *file)
{
    uint64_t words, body;
    (void)body_sizes(&file->head, &words, &body);
    file->words = file->map.data + sizeof file->head;
    file->ends = (const uint64_t *)(const void *)(file->words + words);
    return check_ends(file, file->map.path);
}

qn_status qn__token_file_open(const char *path, uint64_t key, qn_token_progress_fn progress,
                              void *user, qn_token_file *file)
{
    *file = (qn_token_file){0};
    QN_TRY(qn__map_open(path, &file->map));
    qn_status status = check_head(&file->map, key, &file->head);
    if (status == QN_OK) status = check_body(&file->map, &file->head, progress, user);
    if (status == QN_OK) status = find_parts(file);
    if (status != QN_OK) qn__token_file_close(file);
    return status;
}

qn_status qn__token_file_open_own(const char *path, uint64_t key, qn_token_file *file)
{
    *file = (qn_token_file){0};
    QN_TRY(qn__map_open(path, &file->map));
    qn_status status = check_head(&file->map, key, &file->head);
    if (status == QN_OK) status = find_parts(file);
    if (status != QN_OK) qn__token_file_close(file);
    return status;
}

void qn__token_file_close(qn_token_file *file)
{
    qn__map_close(&file->map);
    free(file->owned);
    free(file->owned_ends);
    *file = (qn_token_file){0};
}
