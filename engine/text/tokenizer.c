#include "text/tokenizer.h"

#include "base/check.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

qn_status qn__tokenizer_create(qn_tokenizer_kind kind, qn_tokenizer **tokenizer)
{
    *tokenizer = calloc(1, sizeof **tokenizer);
    if (!*tokenizer) return qn__fail(QN_OS_ERROR, "tokenizer: out of memory");
    (*tokenizer)->kind = kind;
    (*tokenizer)->bos = (*tokenizer)->eos = (*tokenizer)->unknown = -1;
    for (int byte = 0; byte < 256; byte++) (*tokenizer)->byte_id[byte] = -1;
    return QN_OK;
}

void qn_tokenizer_destroy(qn_tokenizer **tokenizer)
{
    if (!tokenizer || !*tokenizer) return;
    qn_tokenizer *t = *tokenizer;
    qn__vocab_free(&t->vocab);
    qn__index_free(&t->normal);
    qn__index_free(&t->special);
    qn__merges_free(&t->merges);
    qn__splitter_free(&t->splitter);
    free(t->special_length);
    free(t);
    *tokenizer = NULL;
}

static bool is_special(const qn__token *token)
{
    return (token->type == QN__TOKEN_CONTROL || token->type == QN__TOKEN_USER) && token->bytes > 0;
}

static int longest_first(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x < y) - (x > y);
}

/* Special tokens are found by trying, where one may begin, each length there is: a hash lookup a
 * length, so that many tokens with the same first byte cost no more than one. */
static qn_status index_specials(qn_tokenizer *t)
{
    size_t count = 0, distinct = 0;
    for (size_t id = 0; id < t->vocab.count; id++) count += is_special(&t->vocab.token[id]);
    if (count == 0) return QN_OK;
    QN_TRY(qn__index_create(&t->special, count));
    t->special_length = malloc(count * sizeof *t->special_length);
    if (!t->special_length) return qn__fail(QN_OS_ERROR, "tokenizer: out of memory");
    for (size_t id = 0; id < t->vocab.count; id++) {
        const qn__token *token = &t->vocab.token[id];
        if (!is_special(token)) continue;
        qn__index_add(&t->special, &t->vocab, (int32_t)id);
        t->special_first[qn__vocab_text(&t->vocab, id)[0]] = true;
        t->special_length[t->special_lengths++] = token->bytes;
    }
    qsort(t->special_length, count, sizeof *t->special_length, longest_first);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || t->special_length[i] != t->special_length[i - 1])
            t->special_length[distinct++] = t->special_length[i];
    t->special_lengths = distinct;
    return QN_OK;
}

/* Does a space follow another character somewhere in the token? */
static bool has_inner_space(const uint8_t *text, size_t bytes)
{
    for (size_t i = 1; i < bytes; i++)
        if (text[i] == ' ' && text[i - 1] != ' ') return true;
    return false;
}

/* Merging may also give user-defined tokens, where no normal one has the same bytes; never control
 * tokens, which plain text must not be able to spell. */
static bool is_mergeable(const qn__token *token)
{
    return (token->type == QN__TOKEN_NORMAL || token->type == QN__TOKEN_USER) && token->bytes > 0;
}

qn_status qn__tokenizer_index(qn_tokenizer *t)
{
    QN_TRY(qn__index_create(&t->normal, t->vocab.count));
    t->cuts_at_spaces = t->kind == QN_TOKENIZER_PIECES;
    for (size_t id = 0; id < t->vocab.count; id++) {
        const qn__token *token = &t->vocab.token[id];
        const uint8_t *text = qn__vocab_text(&t->vocab, id);
        if (token->type == QN__TOKEN_BYTE && token->bytes == 1) {
            if (t->byte_id[text[0]] < 0) t->byte_id[text[0]] = (int32_t)id;
        }
        if (!is_mergeable(token)) continue;
        if (token->bytes > t->longest) t->longest = token->bytes;
        if (token->type == QN__TOKEN_NORMAL) qn__index_add(&t->normal, &t->vocab, (int32_t)id);
        if (has_inner_space(text, token->bytes)) t->cuts_at_spaces = false;
    }
    for (size_t id = 0; id < t->vocab.count; id++)
        if (t->vocab.token[id].type == QN__TOKEN_USER && t->vocab.token[id].bytes > 0)
            qn__index_add(&t->normal, &t->vocab, (int32_t)id);
    if (t->kind == QN_TOKENIZER_BYTES || t->kind == QN_TOKENIZER_BPE) {
        for (int i = 0; i < 256; i++) {
            uint8_t byte = (uint8_t)i;
            t->byte_id[i] = qn__index_find(&t->normal, &t->vocab, &byte, 1);
        }
    }
    return index_specials(t);
}

qn_status qn__tokenizer_add_merge(qn_tokenizer *t, const void *left, size_t left_bytes,
                                  const void *right, size_t right_bytes, uint32_t rank,
                                  size_t *missing)
{
    uint8_t small[256];
    int32_t a = qn__index_find(&t->normal, &t->vocab, left, left_bytes);
    int32_t b = qn__index_find(&t->normal, &t->vocab, right, right_bytes), whole = -1;
    if (a >= 0 && b >= 0) {
        size_t bytes = left_bytes + right_bytes;
        uint8_t *text = bytes <= sizeof small ? small : malloc(bytes);
        if (!text) return qn__fail(QN_OS_ERROR, "tokenizer: out of memory");
        memcpy(text, left, left_bytes);
        memcpy(text + left_bytes, right, right_bytes);
        whole = qn__index_find(&t->normal, &t->vocab, text, bytes);
        if (text != small) free(text);
    }
    if (whole < 0) ++*missing;
    else qn__merges_add(&t->merges, (qn__merge){a, b, whole, rank});
    return QN_OK;
}

void qn__tokenizer_mark_ends(qn_tokenizer *t)
{
    static const char *const names[] = {"<|endoftext|>", "<|end_of_text|>", "<|eot_id|>",
                                        "<|eom_id|>",    "<|im_end|>",      "<|end|>",
                                        "<end_of_turn>", "<|endofturn|>",   "<|eot|>",
                                        "<|END_OF_TURN_TOKEN|>"};
    if (t->eos >= 0) t->vocab.token[t->eos].is_end = true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int32_t id = qn__index_find(&t->special, &t->vocab, names[i], strlen(names[i]));
        if (id >= 0) t->vocab.token[id].is_end = true;
    }
}

int qn__token_byte(const char *text, size_t bytes)
{
    static const char digits[] = "0123456789ABCDEF0123456789abcdef";
    if (bytes != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
    const char *high = memchr(digits, text[3], 32), *low = memchr(digits, text[4], 32);
    return high && low ? (int)((high - digits) % 16 * 16 + (low - digits) % 16) : -1;
}

size_t qn__token_from_file(qn_tokenizer_kind kind, const char *text, size_t bytes, uint8_t *out)
{
    bool marked = kind == QN_TOKENIZER_PIECES || kind == QN_TOKENIZER_WORDS;
    size_t made = 0;
    for (size_t at = 0; at < bytes;) {
        uint32_t code = 0;
        size_t length = qn__utf8_decode((const uint8_t *)text + at, bytes - at, &code);
        int byte = length ? qn__code_to_byte(code) : -1;
        if (marked) byte = length && code == 0x2581 ? ' ' : -1;
        if (byte >= 0) {
            out[made++] = (uint8_t)byte;
        } else if (marked) {
            length = length ? length : 1;
            memcpy(out + made, text + at, length);
            made += length;
        } else { /* not written in the byte alphabet at all: then it stands for itself */
            memcpy(out, text, bytes);
            return bytes;
        }
        at += length;
    }
    return made;
}

qn_tokenizer_kind qn_tokenizer_get_kind(const qn_tokenizer *tokenizer)
{
    return tokenizer->kind;
}

int32_t qn_tokenizer_vocab_size(const qn_tokenizer *tokenizer)
{
    return (int32_t)tokenizer->vocab.count;
}

int32_t qn_tokenizer_bos(const qn_tokenizer *tokenizer)
{
    return tokenizer->bos;
}

int32_t qn_tokenizer_eos(const qn_tokenizer *tokenizer)
{
    return tokenizer->eos;
}

bool qn_tokenizer_wants_bos(const qn_tokenizer *tokenizer)
{
    return tokenizer->wants_bos;
}

static const qn__token *token_of(const qn_tokenizer *tokenizer, int32_t id)
{
    bool inside = id >= 0 && (size_t)id < tokenizer->vocab.count;
    return inside ? &tokenizer->vocab.token[id] : NULL;
}

bool qn_tokenizer_is_end(const qn_tokenizer *tokenizer, int32_t id)
{
    const qn__token *token = token_of(tokenizer, id);
    return token && token->is_end;
}

bool qn_tokenizer_is_control(const qn_tokenizer *tokenizer, int32_t id)
{
    const qn__token *token = token_of(tokenizer, id);
    return token && token->type == QN__TOKEN_CONTROL;
}

const char *qn_tokenizer_token_bytes(const qn_tokenizer *tokenizer, int32_t id, size_t *bytes)
{
    const qn__token *token = token_of(tokenizer, id);
    *bytes = token ? token->bytes : 0;
    return token ? (const char *)qn__vocab_text(&tokenizer->vocab, (size_t)id) : NULL;
}

int32_t qn_tokenizer_find(const qn_tokenizer *tokenizer, const char *text, size_t bytes)
{
    int32_t id = qn__index_find(&tokenizer->special, &tokenizer->vocab, text, bytes);
    return id >= 0 ? id : qn__index_find(&tokenizer->normal, &tokenizer->vocab, text, bytes);
}
