/* Text to ids: take out special tokens, cut the rest into words, merge each word. */
#include "text/tokenizer.h"

#include "base/check.h"
#include "base/hash.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

/* A word seen before in this call: where it stands, and where its ids are in the output. */
typedef struct seen_word {
    const uint8_t *text; /* NULL: free */
    uint32_t bytes, tag;
    size_t ids_at;
    uint32_t ids;
} seen_word;

enum { SEEN_MOST = 1 << 16, SEEN_WORD_BYTES = 64 };

typedef struct encoder {
    const qn_tokenizer *t;
    qn__ids ids;
    qn__word word;
    qn__ends ends, spare;
    seen_word *seen; /* NULL for short texts */
    size_t seen_mask, seen_count;
    uint8_t *copy; /* where parts of the text are rewritten; words point into it */
    size_t copy_used;
    bool goes_on; /* the part at hand continues a text */
} encoder;

static bool join_ranked(const void *context, const uint8_t *text, const qn__symbol *left,
                        const qn__symbol *right, uint32_t *order, int32_t *id)
{
    const qn_tokenizer *t = context;
    (void)text;
    if (left->id < 0 || right->id < 0) return false;
    const qn__merge *merge = qn__merges_find(&t->merges, left->id, right->id);
    if (!merge) return false;
    *order = merge->rank;
    *id = merge->id;
    return true;
}

static bool join_scored(const void *context, const uint8_t *text, const qn__symbol *left,
                        const qn__symbol *right, uint32_t *order, int32_t *id)
{
    const qn_tokenizer *t = context;
    *id = qn__index_find(&t->normal, &t->vocab, text + left->at, left->bytes + right->bytes);
    if (*id < 0) return false;
    *order = t->vocab.token[*id].rank;
    return true;
}

static qn_status push_bytes(encoder *e, const uint8_t *text, size_t bytes)
{
    const qn_tokenizer *t = e->t;
    for (size_t i = 0; i < bytes; i++) {
        int32_t id = t->byte_id[text[i]];
        if (id < 0 && t->unknown >= 0) return qn__ids_push(&e->ids, t->unknown);
        if (id < 0)
            return qn__fail(QN_BAD_ARGUMENT, "the vocabulary of %zu tokens has none for \"%.*s\" "
                            "(byte 0x%02x)", t->vocab.count, (int)bytes, (const char *)text,
                            (unsigned)text[i]);
        QN_TRY(qn__ids_push(&e->ids, id));
    }
    return QN_OK;
}

/* One character, known or not; invalid bytes count as one character each. */
static size_t character(const uint8_t *text, size_t bytes)
{
    size_t length = qn__utf8_decode(text, bytes, NULL);
    return length ? length : 1;
}

static qn_status merge_word(encoder *e, const uint8_t *text, size_t bytes)
{
    const qn_tokenizer *t = e->t;
    bool by_bytes = t->kind == QN_TOKENIZER_BPE;
    qn__word_begin(&e->word);
    for (size_t at = 0, length; at < bytes; at += length) {
        length = by_bytes ? 1 : character(text + at, bytes - at);
        int32_t id = by_bytes ? t->byte_id[text[at]]
                              : qn__index_find(&t->normal, &t->vocab, text + at, length);
        QN_TRY(qn__word_add(&e->word, at, length, id));
    }
    QN_TRY(qn__word_join(&e->word, text, t->by_score ? join_scored : join_ranked, t));
    for (size_t i = 0; i < e->word.count; i++) {
        const qn__symbol *symbol = &e->word.symbol[i];
        if (symbol->bytes == 0) continue;
        if (symbol->id >= 0) QN_TRY(qn__ids_push(&e->ids, symbol->id));
        else QN_TRY(push_bytes(e, text + symbol->at, symbol->bytes));
    }
    return QN_OK;
}

static qn_status new_word(encoder *e, const uint8_t *text, size_t bytes)
{
    if (e->t->ignores_merges) {
        int32_t id = qn__index_find(&e->t->normal, &e->t->vocab, text, bytes);
        if (id >= 0) return qn__ids_push(&e->ids, id);
    }
    return e->t->kind == QN_TOKENIZER_WORDS ? qn__word_match(e->t, text, bytes, &e->ids)
                                            : merge_word(e, text, bytes);
}

/* Natural text repeats its words: look whether this one was merged before in this call. */
static qn_status add_word(encoder *e, const uint8_t *text, size_t bytes)
{
    if (!e->seen || bytes > SEEN_WORD_BYTES) return new_word(e, text, bytes);
    uint64_t hash = qn__hash(text, bytes);
    uint32_t tag = (uint32_t)(hash >> 32);
    size_t at = (size_t)hash & e->seen_mask;
    for (; e->seen[at].text; at = (at + 1) & e->seen_mask) {
        const seen_word *seen = &e->seen[at];
        if (seen->tag != tag || seen->bytes != bytes || memcmp(seen->text, text, bytes) != 0)
            continue;
        QN_TRY(qn__ids_reserve(&e->ids, seen->ids));
        memcpy(e->ids.data + e->ids.count, e->ids.data + seen->ids_at,
               seen->ids * sizeof *e->ids.data);
        e->ids.count += seen->ids;
        return QN_OK;
    }
    size_t ids_at = e->ids.count;
    QN_TRY(new_word(e, text, bytes));
    if (e->seen_count > e->seen_mask / 2) return QN_OK;
    e->seen[at] = (seen_word){text, (uint32_t)bytes, tag, ids_at,
                              (uint32_t)(e->ids.count - ids_at)};
    e->seen_count++;
    return QN_OK;
}

static qn_status encode_chars(encoder *e, const uint8_t *text, size_t bytes)
{
    const qn_tokenizer *t = e->t;
    for (size_t at = 0, length; at < bytes; at += length) {
        length = character(text + at, bytes - at);
        int32_t id = qn__index_find(&t->normal, &t->vocab, text + at, length);
        if (id < 0) id = t->unknown;
        if (id < 0)
            return qn__fail(QN_BAD_ARGUMENT, "the vocabulary of %zu characters lacks \"%.*s\" (at "
                            "byte %zu of the text)", t->vocab.count, (int)length,
                            (const char *)text + at, at);
        QN_TRY(qn__ids_push(&e->ids, id));
    }
    return QN_OK;
}

static qn_status encode_pre_split(encoder *e, const uint8_t *text, size_t bytes)
{
    size_t start = 0;
    QN_TRY(qn__split(&e->t->splitter, text, bytes, &e->ends, &e->spare));
    for (size_t i = 0; i < e->ends.count; i++) {
        QN_TRY(add_word(e, text + start, e->ends.data[i] - start));
        start = e->ends.data[i];
    }
    return QN_OK;
}

/* Words begin where a space follows another character; exact if no token crosses such a place. */
static qn_status encode_pieces(encoder *e, const uint8_t *text, size_t bytes)
{
    if (e->t->splitter.stages) return encode_pre_split(e, text, bytes);
    if (!e->t->cuts_at_spaces) return add_word(e, text, bytes);
    size_t start = 0;
    for (size_t at = 1; at <= bytes; at++) {
        if (at < bytes && !(text[at] == ' ' && text[at - 1] != ' ')) continue;
        QN_TRY(add_word(e, text + start, at - start));
        start = at;
    }
    return QN_OK;
}

static qn_status fold_word(void *context, const uint8_t *word, size_t bytes)
{
    return add_word(context, word, bytes);
}

static bool rewrites(const qn_tokenizer *t)
{
    return t->prefix != QN__PREFIX_NONE || t->marks_spaces;
}

/* Put the space before a part of the text and turn U+2581 into spaces. */
static const uint8_t *rewrite(encoder *e, const uint8_t *text, size_t *bytes, bool first)
{
    const qn_tokenizer *t = e->t;
    uint8_t *start = e->copy + e->copy_used, *to = start;
    bool wanted = t->prefix == QN__PREFIX_EACH || (t->prefix == QN__PREFIX_FIRST && first);
    wanted = wanted && !(first && e->goes_on);
    bool marked = t->marks_spaces && *bytes >= 3 && memcmp(text, "\xE2\x96\x81", 3) == 0;
    if (wanted && !(t->prefix_only_if_needed && (text[0] == ' ' || marked))) *to++ = ' ';
    if (!t->marks_spaces) {
        memcpy(to, text, *bytes);
        to += *bytes;
    }
    for (size_t at = 0; t->marks_spaces && at < *bytes;) {
        bool mark = text[at] == 0xE2 && *bytes - at >= 3 && text[at + 1] == 0x96 &&
                    text[at + 2] == 0x81;
        *to++ = mark ? ' ' : text[at];
        at += mark ? 3 : 1;
    }
    *bytes = (size_t)(to - start);
    e->copy_used += *bytes;
    return start;
}

/* A part of the text without special tokens. */
static qn_status encode_part(encoder *e, const uint8_t *text, size_t bytes, bool first)
{
    if (bytes == 0) return QN_OK;
    if (e->t->kind == QN_TOKENIZER_WORDS)
        return qn__fold_words(text, bytes, e->t->fold, e->copy, &e->copy_used, fold_word, e);
    if (rewrites(e->t)) text = rewrite(e, text, &bytes, first);
    switch (e->t->kind) {
    case QN_TOKENIZER_CHARS: return encode_chars(e, text, bytes);
    case QN_TOKENIZER_BYTES: return push_bytes(e, text, bytes);
    case QN_TOKENIZER_BPE: return encode_pre_split(e, text, bytes);
    case QN_TOKENIZER_PIECES: return encode_pieces(e, text, bytes);
    case QN_TOKENIZER_WORDS: break; /* done above */
    }
    return qn__fail(QN_INTERNAL, "tokenizer of kind %d", (int)e->t->kind);
}

/* The longest special token at the start of the text; -1 if there is none. */
static int32_t special_at(const qn_tokenizer *t, const uint8_t *text, size_t bytes, unsigned flags)
{
    if (!t->special_first[text[0]]) return -1;
    for (size_t i = 0; i < t->special_lengths; i++) {
        size_t length = t->special_length[i];
        if (length > bytes) continue;
        int32_t id = qn__index_find(&t->special, &t->vocab, text, length);
        if (id < 0) continue;
        if (t->vocab.token[id].type == QN__TOKEN_USER || (flags & QN_ENCODE_SPECIAL)) return id;
    }
    return -1;
}

/* Bytes of the white space character at the start of the text; 0 if there is none. */
static size_t space_at(const uint8_t *text, size_t bytes)
{
    uint32_t code = 0;
    size_t length = bytes ? qn__utf8_decode(text, bytes, &code) : 0;
    return length && qn__is_space(code) ? length : 0;
}

/* The same at the end of the text; such characters have at most 3 bytes. */
static size_t space_before(const uint8_t *text, size_t bytes)
{
    for (size_t length = 1; length <= 3 && length <= bytes; length++)
        if (space_at(text + bytes - length, length) == length) return length;
    return 0;
}

static qn_status encode_text(encoder *e, const uint8_t *text, size_t bytes, unsigned flags)
{
    const qn_tokenizer *t = e->t;
    size_t start = 0;
    for (size_t at = 0; t->special_lengths && at < bytes;) {
        int32_t id = special_at(t, text + at, bytes - at, flags);
        if (id < 0) {
            at++;
            continue;
        }
        const qn__token *token = &t->vocab.token[id];
        size_t end = at, next = at + token->bytes;
        for (size_t n = 1; token->strips_left && n; end -= n)
            n = space_before(text + start, end - start);
        for (size_t n = 1; token->strips_right && n; next += n)
            n = space_at(text + next, bytes - next);
        QN_TRY(encode_part(e, text + start, end - start, start == 0));
        QN_TRY(qn__ids_push(&e->ids, id));
        start = at = next;
    }
    return encode_part(e, text + start, bytes - start, start == 0);
}

/* The table of words seen pays only for texts that can repeat some. */
static qn_status prepare(encoder *e, size_t bytes)
{
    QN_TRY(qn__ids_reserve(&e->ids, bytes / 3 + 16));
    bool words = e->t->kind == QN_TOKENIZER_WORDS;
    if (words || rewrites(e->t)) { /* each part, and a space before it */
        e->copy = malloc(words ? QN__FOLD_BYTES(bytes) : 2 * bytes + 2);
        if (!e->copy) return qn__fail(QN_OS_ERROR, "tokenizer: no memory for the text");
    }
    if (bytes < 512) return QN_OK;
    size_t slots = 256;
    while (slots < bytes / 8 && slots < SEEN_MOST) slots *= 2;
    e->seen = calloc(slots, sizeof *e->seen);
    if (!e->seen) return qn__fail(QN_OS_ERROR, "tokenizer: out of memory");
    e->seen_mask = slots - 1;
    return QN_OK;
}

qn_status qn_tokenizer_encode(const qn_tokenizer *tokenizer, const char *text, size_t bytes,
                              unsigned flags, int32_t **ids, size_t *count)
{
    QN_CHECK(tokenizer && ids && count && (text || bytes == 0),
             "qn_tokenizer_encode: a pointer is NULL");
    *ids = NULL;
    *count = 0;
    QN_CHECK(bytes < INT32_MAX, "qn_tokenizer_encode: %zu bytes at once; encode in parts", bytes);
    encoder e = {.t = tokenizer, .goes_on = flags & QN_ENCODE_GOES_ON};
    const uint8_t *start = (const uint8_t *)(text ? text : "");
    qn_status status = prepare(&e, bytes);
    if (status == QN_OK && (flags & QN_ENCODE_BOS) && tokenizer->bos >= 0)
        status = qn__ids_push(&e.ids, tokenizer->bos);
    if (status == QN_OK) status = encode_text(&e, start, bytes, flags);
    qn__word_free(&e.word);
    qn__ends_free(&e.ends);
    qn__ends_free(&e.spare);
    free(e.seen);
    free(e.copy);
    if (status != QN_OK || e.ids.count == 0) {
        free(e.ids.data);
        return status;
    }
    *ids = e.ids.data;
    *count = e.ids.count;
    return QN_OK;
}
