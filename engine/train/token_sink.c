/* Writing a token file: words go out as they come, ends of documents wait in memory. */
#include "base/check.h"
#include "base/hash.h"
#include "file/writer.h"
#include "train/token_file.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 8192 };

struct qn_token_sink {
    qn_token_head head;
    qn_writer *out; /* NULL: memory */
    qn_hasher *hasher;
    char *path;
    uint8_t *words;
    size_t capacity, used; /* bytes */
    uint64_t *ends;
    size_t ends_capacity;
    bool val;
};

static qn_status put(qn_token_sink *sink, const void *bytes, size_t count)
{
    if (count == 0) return QN_OK;
    if (sink->out) {
        qn__hasher_add(sink->hasher, bytes, count);
        return qn__writer_add(sink->out, bytes, count);
    }
    if (count > sink->capacity - sink->used) {
        size_t capacity = sink->capacity;
        while (count > capacity - sink->used && capacity < SIZE_MAX / 4)
            capacity = capacity * 2 + 65536;
        uint8_t *more = realloc(sink->words, capacity);
        if (!more) return qn__fail(QN_OS_ERROR, "no memory for %zu bytes of tokens", capacity);
        sink->words = more;
        sink->capacity = capacity;
    }
    memcpy(sink->words + sink->used, bytes, count);
    sink->used += count;
    return QN_OK;
}

qn_status qn__token_sink_create(const char *path, uint64_t key, int32_t vocab, bool masked,
                                qn_token_sink **sink)
{
    *sink = NULL;
    qn_token_sink *made = calloc(1, sizeof *made);
    if (!made) return qn__fail(QN_OS_ERROR, "out of memory");
    bool narrow = vocab <= (masked ? INT16_MAX + 1 : UINT16_MAX + 1);
    made->head = (qn_token_head){.magic = QN_TOKEN_MAGIC,
                                 .version = QN_TOKEN_VERSION,
                                 .key = key,
                                 .vocab = (uint64_t)vocab,
                                 .word_bytes = narrow ? 2 : 4,
                                 .masked = masked};
    qn_status status = QN_OK;
    if (path) {
        made->hasher = qn__hasher_create();
        made->path = strdup(path);
        status = made->hasher && made->path ? qn__writer_create(path, &made->out)
                                            : qn__fail(QN_OS_ERROR, "out of memory");
        if (status == QN_OK)
            status = qn__writer_add(made->out, &made->head, sizeof made->head); /* to be patched */
    }
    if (status != QN_OK) qn__token_sink_destroy(&made);
    *sink = made;
    return status;
}

void qn__token_sink_destroy(qn_token_sink **sink)
{
    qn_token_sink *old = *sink;
    if (!old) return;
    qn__writer_destroy(&old->out);
    if (old->hasher) qn__hasher_destroy(&old->hasher);
    free(old->path);
    free(old->words);
    free(old->ends);
    free(old);
    *sink = NULL;
}

static qn_status add_piece(qn_token_sink *sink, const int32_t *ids, const uint8_t *learned,
                           size_t count)
{
    uint16_t narrow[PIECE];
    uint32_t wide[PIECE];
    for (size_t i = 0; i < count; i++) {
        bool yes = !learned || learned[i];
        QN_CHECK(ids[i] >= 0 && (uint64_t)ids[i] < sink->head.vocab && (yes || sink->head.masked),
                 "token %d is outside the vocabulary of %" PRIu64 " or masked", ids[i],
                 sink->head.vocab);
        narrow[i] = (uint16_t)((unsigned)ids[i] | (yes ? 0u : 1u << 15));
        wide[i] = (uint32_t)ids[i] | (yes ? 0u : UINT32_C(1) << 31);
        sink->head.learned += yes;
    }
    sink->head.tokens += count;
    if (sink->head.word_bytes == 2) return put(sink, narrow, count * sizeof *narrow);
    return put(sink, wide, count * sizeof *wide);
}

qn_status qn__token_sink_add(qn_token_sink *sink, const int32_t *ids, const uint8_t *learned,
                             size_t count)
{
    for (size_t at = 0; at < count; at += PIECE)
        QN_TRY(add_piece(sink, ids + at, learned ? learned + at : NULL,
                         count - at < PIECE ? count - at : PIECE));
    return QN_OK;
}

uint64_t qn__token_sink_tokens(const qn_token_sink *sink)
{
    return sink->head.tokens;
}

uint64_t qn__token_sink_open_tokens(const qn_token_sink *sink)
{
    uint64_t documents = sink->head.documents;
    return sink->head.tokens - (documents ? sink->ends[documents - 1] : 0);
}

qn_status qn__token_sink_end_document(qn_token_sink *sink)
{
    qn_token_head *h = &sink->head;
    if (qn__token_sink_open_tokens(sink) == 0) return QN_OK;
    if (h->documents == sink->ends_capacity) {
        size_t capacity = sink->ends_capacity * 2 + 64;
        uint64_t *more = reallocarray(sink->ends, capacity, sizeof *more);
        if (!more) return qn__fail(QN_OS_ERROR, "no memory for %zu documents", capacity);
        sink->ends = more;
        sink->ends_capacity = capacity;
    }
    sink->ends[h->documents++] = h->tokens;
    return QN_OK;
}

void qn__token_sink_begin_val(qn_token_sink *sink)
{
    sink->val = true;
    sink->head.val_token = sink->head.tokens;
    sink->head.val_document = sink->head.documents;
}

static qn_status to_file(qn_token_sink *sink, qn_token_file *file)
{
    static const uint8_t zeros[8];
    qn_token_head *h = &sink->head;
    QN_TRY(put(sink, zeros, (8 - h->tokens * h->word_bytes % 8) % 8));
    QN_TRY(put(sink, sink->ends, (size_t)h->documents * sizeof *sink->ends));
    h->body_hash = qn__hasher_value(sink->hasher);
    h->head_hash = qn__hash(h, offsetof(qn_token_head, head_hash));
    QN_TRY(qn__writer_patch(sink->out, 0, h, sizeof *h));
    QN_TRY(qn__writer_finish(&sink->out));
    return qn__token_file_open_own(sink->path, h->key, file);
}

static void to_memory(qn_token_sink *sink, qn_token_file *file)
{
    *file = (qn_token_file){.head = sink->head, .owned = sink->words, .owned_ends = sink->ends};
    file->words = file->owned;
    file->ends = file->owned_ends;
    sink->words = NULL;
    sink->ends = NULL;
}

qn_status qn__token_sink_finish(qn_token_sink **sink, uint64_t text_bytes, uint64_t empty,
                                qn_token_file *file)
{
    qn_token_sink *s = *sink;
    *file = (qn_token_file){0};
    qn_status status = qn__token_sink_end_document(s);
    if (!s->val) qn__token_sink_begin_val(s);
    s->head.text_bytes = text_bytes;
    s->head.empty = empty;
    if (status == QN_OK && s->out) status = to_file(s, file);
    else if (status == QN_OK) to_memory(s, file);
    qn__token_sink_destroy(sink);
    return status;
}
