/* The tokenizer of a run: loaded, or learned from the data. */
#include "base/check.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "text/utf8.h"
#include "train/data_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* From documents, the byte-pair merges are learned from the first part of the text. */
enum { LEARN_BYTES = 256 << 20, CODE_POINTS = 0x110000 };

typedef struct gatherer {
    qn_word *word;
    uint64_t total;
    qn_str text;
    uint8_t *seen; /* characters: a bit for each code point */
} gatherer;

static qn_status note_characters(gatherer *g, const uint8_t *text, size_t bytes, const char *path)
{
    for (size_t at = 0; at < bytes;) {
        uint32_t code;
        size_t length = qn__utf8_decode(text + at, bytes - at, &code);
        if (length == 0 || code == 0)
            return qn__fail(QN_BAD_DATA,
                            "%s: %s at byte %zu of a text: the bytes tokenizer takes such texts",
                            path, length ? "U+0000" : "not UTF-8", at);
        g->seen[code / 8] |= (uint8_t)(1u << code % 8);
        at += length;
    }
    return QN_OK;
}

static qn_status gather(void *user, const qn__document *document, const char *path, uint64_t done)
{
    static const char end[] = "<|endoftext|>";
    gatherer *g = user;
    for (size_t i = 0; i < document->count; i++) {
        const qn__span *span = &document->span[i];
        const char *text = span->text;
        size_t bytes = span->bytes;
        if (g->seen) QN_TRY(note_characters(g, (const uint8_t *)text, bytes, path));
        else if (g->text.length < LEARN_BYTES) {
            size_t room = LEARN_BYTES - g->text.length;
            qn__str_add_bytes(&g->text, text, bytes < room ? bytes : room);
        }
    }
    if (!g->seen && g->text.length < LEARN_BYTES) qn__str_add_bytes(&g->text, end, sizeof end - 1);
    if (qn__word_pass(g->word, (int64_t)done, (int64_t)g->total)) return QN_OK;
    return qn__fail(QN_INTERRUPTED, "stopped while reading");
}

/* A text with each character that was seen, once. */
static qn_status characters(const gatherer *g, qn_tokenizer **tokenizer)
{
    qn_str all = {0};
    for (uint32_t code = 1; code < CODE_POINTS; code++) {
        char out[4];
        if (!(g->seen[code / 8] >> code % 8 & 1)) continue;
        qn__str_add_bytes(&all, out, qn__utf8_encode(code, out));
    }
    qn_status status = all.failed ? qn__fail(QN_OS_ERROR, "out of memory")
                                  : qn_tokenizer_create_chars(all.data, all.length, tokenizer);
    qn__str_free(&all);
    return status;
}

static qn_status learn_bpe(const char *size_text, const char *text, size_t bytes, qn_word *w,
                           qn_tokenizer **tokenizer)
{
    char *end;
    long size = strtol(size_text, &end, 10);
    QN_CHECK(*end == 0 && size >= 257 && size <= 1 << 20,
             "tokenizer bpe:%s: the vocabulary is outside [257, 2^20]", size_text);
    w->what = "learning the tokenizer";
    return qn_tokenizer_train_bpe(text, bytes, (int32_t)size, qn__word_pass, w, tokenizer);
}

static qn_status from_documents(const char *kind, const qn__dataset *dataset, qn_word *w,
                                qn_tokenizer **tokenizer)
{
    gatherer g = {.word = w, .total = dataset->bytes};
    bool chars = strcmp(kind, "char") == 0;
    w->what = "reading";
    if (chars) g.seen = calloc(CODE_POINTS / 8, 1);
    if (chars && !g.seen) return qn__fail(QN_OS_ERROR, "out of memory");
    qn_status status = qn__dataset_each(dataset, gather, &g);
    if (status == QN_OK && g.text.failed)
        status = qn__fail(QN_OS_ERROR, "no memory for the text to learn a tokenizer from");
    if (status == QN_OK)
        status = chars ? characters(&g, tokenizer)
                       : learn_bpe(kind + 4, qn__str_text(&g.text), g.text.length, w, tokenizer);
    qn__str_free(&g.text);
    free(g.seen);
    return status;
}

static qn_status from_plain(const char *kind, const qn__dataset *dataset, qn_word *w,
                            qn_tokenizer **tokenizer)
{
    qn_map map;
    QN_TRY(qn__map_open(dataset->source[0].path, &map));
    const char *text = (const char *)map.data;
    qn_status status = strcmp(kind, "char") == 0
                           ? qn_tokenizer_create_chars(text, map.bytes, tokenizer)
                           : learn_bpe(kind + 4, text, map.bytes, w, tokenizer);
    qn__map_close(&map);
    return status;
}

/* ---- merges that were learned before ---- */

typedef struct kept {
    char *path, *mark; /* the tokenizer, and beside it its hash */
} kept;

static kept kept_at(const char *kind, const qn__dataset *dataset)
{
    uint64_t key = qn__data_key(dataset, kind, strlen(kind) + 1);
    if (!key) return (kept){0};
    return (kept){qn__cache_path("tokenizers/%016" PRIx64 ".json", key),
                  qn__cache_path("tokenizers/%016" PRIx64 ".hash", key)};
}

static void mark_of(const qn_tokenizer *tokenizer, char text[17])
{
    snprintf(text, 17, "%016" PRIx64, qn__tokenizer_hash(tokenizer));
}

/* NULL: not there, or not whole. */
static qn_tokenizer *take_kept(const kept *at)
{
    char *mark = NULL, now[17];
    size_t bytes;
    qn_tokenizer *tokenizer = NULL;
    if (!at->path || !at->mark || !qn__is_file(at->mark) || !qn__is_file(at->path)) return NULL;
    if (qn__file_read(at->mark, &mark, &bytes) == QN_OK &&
        qn_tokenizer_load(at->path, &tokenizer) == QN_OK) {
        mark_of(tokenizer, now);
        if (strcmp(mark, now) == 0) qn__log(QN_LOG_INFO, "tokenizer from the cache: %s", at->path);
        else qn_tokenizer_destroy(&tokenizer);
    }
    if (!tokenizer) qn__log(QN_LOG_WARN, "%s is damaged: it is learned again", at->path);
    free(mark);
    return tokenizer;
}

static void keep(const qn_tokenizer *tokenizer, const kept *at)
{
    char mark[17];
    mark_of(tokenizer, mark);
    if (!at->path || !at->mark) return;
    if (qn_tokenizer_save(tokenizer, at->path) != QN_OK ||
        qn__file_replace(at->mark, mark, strlen(mark)) != QN_OK)
        qn__log(QN_LOG_WARN, "%s; the tokenizer is not kept for the next run", qn_last_error());
}

static qn_status learned_before_or_now(const char *kind, const qn__dataset *dataset, qn_word *w,
                                       qn_tokenizer **tokenizer)
{
    kept at = kept_at(kind, dataset);
    qn_status status = QN_OK;
    *tokenizer = take_kept(&at);
    if (!*tokenizer) {
        status = dataset->plain ? from_plain(kind, dataset, w, tokenizer)
                                : from_documents(kind, dataset, w, tokenizer);
        if (status == QN_OK) status = qn__dataset_check_same(dataset);
        if (status == QN_OK) keep(*tokenizer, &at);
    }
    free(at.path);
    free(at.mark);
    return status;
}

qn_status qn__data_tokenizer(const qn_train_options *o, const qn__dataset *dataset, qn_word *w,
                             qn_tokenizer **tokenizer)
{
    if (o->resume && *o->out) {
        char *saved = qn__path_join(o->out, "tokenizer.json");
        if (!saved) return qn__fail(QN_OS_ERROR, "out of memory");
        bool there = qn__is_file(saved);
        qn_status status = there ? qn_tokenizer_load(saved, tokenizer) : QN_OK;
        free(saved);
        if (there) return status;
    }
    const char *kind = o->tokenizer;
    bool learned = strcmp(kind, "char") == 0 || strncmp(kind, "bpe:", 4) == 0;
    if (strcmp(kind, "bytes") == 0) return qn_tokenizer_create_bytes(tokenizer);
    if (!learned) return qn_tokenizer_load(kind, tokenizer);
    QN_CHECK(dataset != NULL,
             "tokenizer %s is learned from a text; with shards give a tokenizer file", kind);
    if (strncmp(kind, "bpe:", 4) == 0) return learned_before_or_now(kind, dataset, w, tokenizer);
    if (dataset->plain) return from_plain(kind, dataset, w, tokenizer);
    return from_documents(kind, dataset, w, tokenizer);
}
