/* One word to tokens: at each place the longest token there is. Devlin et al. 2019; Schuster and
 * Nakajima, "Japanese and Korean voice search", 2012. */
#include "text/tokenizer.h"

#include "base/check.h"

static bool is_inside(uint8_t byte)
{
    return (byte & 0xC0) == 0x80;
}

static size_t characters(const uint8_t *text, size_t bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < bytes; i++) count += !is_inside(text[i]);
    return count;
}

/* The longest token that begins at text[at] and ends with a character; *next is behind it. */
static int32_t longest_at(const qn_tokenizer *t, const uint8_t *text, size_t bytes, size_t at,
                          size_t *next)
{
    size_t least = at == 0 ? 2 : 1; /* the space before the word is none of its characters */
    size_t most = bytes - at < t->longest ? bytes - at : t->longest;
    for (size_t length = most; length >= least; length--) {
        if (at + length < bytes && is_inside(text[at + length])) continue;
        int32_t id = qn__index_find(&t->normal, &t->vocab, text + at, length);
        *next = at + length;
        if (id >= 0) return id;
    }
    return -1;
}

qn_status qn__word_match(const qn_tokenizer *t, const uint8_t *text, size_t bytes, qn__ids *ids)
{
    size_t before = ids->count;
    bool known = characters(text + 1, bytes - 1) <= t->longest_word;
    for (size_t at = 0; known && at < bytes;) {
        int32_t id = longest_at(t, text, bytes, at, &at);
        known = id >= 0;
        if (known) QN_TRY(qn__ids_push(ids, id));
    }
    if (known) return QN_OK;
    ids->count = before;
    if (t->unknown >= 0) return qn__ids_push(ids, t->unknown);
    return qn__fail(QN_BAD_ARGUMENT, "the vocabulary of %zu tokens has none for \"%.*s\"",
                    t->vocab.count, (int)bytes - 1, (const char *)text + 1);
}
