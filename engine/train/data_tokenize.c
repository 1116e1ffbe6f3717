/* Text to tokens, once: what was made is kept in the cache folder. */
#include "base/check.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "text/chat.h"
#include "train/data_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct maker {
    const qn__dataset *dataset;
    const qn_tokenizer *tokenizer;
    double val_fraction;
    qn_word *word;
    qn_token_sink *sink;
    qn__marked marked; /* a piece's tokens */
    int32_t bos, eos;  /* -1: none */
    int32_t last;      /* token handed over */
    uint64_t told, empty;
} maker;

static qn_status tell(maker *m, uint64_t done)
{
    enum { OFTEN = 1 << 18 };
    if (done - m->told < OFTEN && done < m->dataset->bytes) return QN_OK;
    m->told = done;
    if (qn__word_pass(m->word, (int64_t)done, (int64_t)m->dataset->bytes)) return QN_OK;
    return qn__fail(QN_INTERRUPTED, "stopped while tokenizing");
}

/* Hand over what was encoded; in a text, each end-of-text token ends a document. */
static qn_status flush(maker *m, bool text)
{
    const int32_t *ids = m->marked.ids.data;
    size_t count = m->marked.ids.count, from = 0;
    for (size_t i = 0; text && m->eos >= 0 && i < count; i++) {
        if (ids[i] != m->eos) continue;
        QN_TRY(qn__token_sink_add(m->sink, ids + from, m->marked.learned + from, i + 1 - from));
        QN_TRY(qn__token_sink_end_document(m->sink));
        from = i + 1;
    }
    if (from < count)
        QN_TRY(qn__token_sink_add(m->sink, ids + from, m->marked.learned + from, count - from));
    if (count) m->last = ids[count - 1];
    m->marked.ids.count = 0;
    return QN_OK;
}

/* All spans; `before`: bytes of the data set before this document. */
static qn_status encode(maker *m, const qn__document *document, uint64_t before)
{
    for (size_t i = 0; i < document->count; i++) {
        size_t at = 0;
        do {
            QN_TRY(qn__document_encode(document, i, &at, m->tokenizer, &m->marked));
            if (!document->plain) continue;
            QN_TRY(flush(m, true));
            QN_TRY(tell(m, before + at));
        } while (at < document->span[i].bytes);
    }
    return flush(m, false);
}

static qn_status add_document(void *user, const qn__document *document, const char *path,
                              uint64_t done)
{
    maker *m = user;
    uint64_t bytes = 0;
    (void)path;
    for (size_t i = 0; i < document->count; i++) bytes += document->span[i].bytes;
    if (bytes == 0) {
        m->empty++;
        return tell(m, done);
    }
    if (m->bos >= 0) QN_TRY(qn__token_sink_add(m->sink, &m->bos, NULL, 1));
    QN_TRY(encode(m, document, done - (document->plain && done >= bytes ? bytes : 0)));
    const uint8_t learned = document->end_learned;
    bool open = qn__token_sink_open_tokens(m->sink) > 0 && m->last != m->eos;
    if (open && m->eos >= 0) QN_TRY(qn__token_sink_add(m->sink, &m->eos, &learned, 1));
    QN_TRY(qn__token_sink_end_document(m->sink));
    return tell(m, done);
}

/* One text as it is, cut in two behind a whole character. */
static qn_status add_plain(void *user, const qn__document *document, const char *path,
                           uint64_t done)
{
    maker *m = user;
    qn__span whole = document->span[0], part = whole;
    qn__document one = {.span = &part, .count = 1, .plain = true};
    size_t split = whole.bytes;
    (void)path;
    (void)done;
    if (m->val_fraction > 0) {
        split = (size_t)((double)whole.bytes * (1 - m->val_fraction));
        while (split > 0 && split < whole.bytes &&
               ((unsigned char)whole.text[split] & 0xC0) == 0x80)
            split--;
    }
    part.bytes = split;
    QN_TRY(encode(m, &one, 0));
    QN_TRY(qn__token_sink_end_document(m->sink));
    qn__token_sink_begin_val(m->sink);
    part.text += split;
    part.bytes = whole.bytes - split;
    QN_TRY(encode(m, &one, split));
    return qn__token_sink_end_document(m->sink);
}

/* What runs that were killed left beside `path`. */
static void remove_left(const char *path)
{
    char *folder = strndup(path, (size_t)(strrchr(path, '/') - path));
    if (folder) qn__folder_sweep(folder);
    free(folder);
}

/* path NULL: in memory. */
static qn_status make(maker *m, const char *path, uint64_t key, qn_token_file *file)
{
    m->word->what = "tokenizing";
    m->told = m->empty = 0;
    if (path) remove_left(path);
    QN_TRY(qn__token_sink_create(path, key, qn_tokenizer_vocab_size(m->tokenizer),
                                 m->dataset->lines, &m->sink));
    qn_status status =
        qn__dataset_each(m->dataset, m->dataset->plain ? add_plain : add_document, m);
    if (status == QN_OK) status = qn__dataset_check_same(m->dataset);
    qn__marked_free(&m->marked);
    if (status == QN_OK) return qn__token_sink_finish(&m->sink, m->dataset->bytes, m->empty, file);
    qn__token_sink_destroy(&m->sink);
    return status;
}

uint64_t qn__data_key(const qn__dataset *dataset, const void *what, size_t bytes)
{
    const uint64_t shape[] = {QN_TOKEN_VERSION, dataset->plain, dataset->count};
    qn_hasher *hasher = qn__hasher_create();
    if (!hasher) return 0;
    qn__hasher_add(hasher, what, bytes);
    qn__hasher_add(hasher, shape, sizeof shape);
    for (size_t i = 0; i < dataset->count; i++) {
        const qn__source *source = &dataset->source[i];
        char *whole = realpath(source->path, NULL);
        const char *path = whole ? whole : source->path;
        const uint64_t kind = source->kind;
        qn__hasher_add(hasher, path, strlen(path) + 1);
        qn__hasher_add(hasher, &kind, sizeof kind);
        qn__hasher_add(hasher, &source->bytes, sizeof source->bytes);
        qn__hasher_add(hasher, source->identity, sizeof source->identity);
        free(whole);
    }
    uint64_t key = qn__hasher_value(hasher);
    qn__hasher_destroy(&hasher);
    return key;
}

/* Everything that decides what the tokens are. 0: out of memory. */
static uint64_t key_of(const maker *m)
{
    struct {
        uint64_t tokenizer;
        double val_fraction;
        char family[32]; /* of conversations */
    } what = {qn__tokenizer_hash(m->tokenizer), m->dataset->plain ? m->val_fraction : 0, {0}};
    if (m->dataset->family)
        snprintf(what.family, sizeof what.family, "%s", m->dataset->family->name);
    return what.tokenizer ? qn__data_key(m->dataset, &what, sizeof what) : 0;
}

/* QN_BAD_DATA and QN_OS_ERROR: not there, or not to be used. */
static qn_status from_cache(const char *path, uint64_t key, qn_word *w, qn_token_file *file)
{
    w->what = "tokens from the cache";
    qn_status status = qn__token_file_open(path, key, qn__word_pass, w, file);
    if (status == QN_OK) qn__log(QN_LOG_INFO, "tokens come from the cache: %s", path);
    else if (status != QN_INTERRUPTED)
        qn__log(QN_LOG_WARN, "%s; it is made again", qn_last_error());
    return status;
}

qn_status qn__data_tokenize(const qn__dataset *dataset, const qn_tokenizer *tokenizer,
                            double val_fraction, qn_word *w, qn_token_file *file, bool *cached)
{
    maker m = {.dataset = dataset,
               .tokenizer = tokenizer,
               .val_fraction = val_fraction,
               .word = w,
               .eos = qn_tokenizer_eos(tokenizer),
               .bos = qn_tokenizer_wants_bos(tokenizer) ? qn_tokenizer_bos(tokenizer) : -1};
    uint64_t key = key_of(&m);
    char *path = key ? qn__cache_path("tokens/%016" PRIx64 ".bin", key) : NULL;
    qn_status status = QN_OS_ERROR;
    *cached = false;
    if (path && qn__is_file(path)) status = from_cache(path, key, w, file);
    if (status == QN_OK) *cached = true;
    else if (status != QN_INTERRUPTED) {
        status = make(&m, path, key, file);
        if (status == QN_CANNOT_WRITE && path) {
            qn__log(QN_LOG_WARN, "%s; the tokens are kept in memory", qn_last_error());
            status = make(&m, NULL, key, file);
        }
    }
    free(path);
    return status;
}
