/* Tokenizers that need no file: characters and bytes. */
#include "text/tokenizer.h"

#include "base/check.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { CODES = 0x110000 };

/* seen[code] for every character; the text must be valid and without U+0000 (a JSON key cannot hold
 * it, so such a tokenizer could not be saved). */
static qn_status mark_characters(const uint8_t *text, size_t bytes, uint8_t *seen)
{
    for (size_t at = 0; at < bytes;) {
        uint32_t code;
        size_t length = qn__utf8_decode(text + at, bytes - at, &code);
        if (length == 0)
            return qn__fail(QN_BAD_DATA, "character tokenizer: byte %zu of the text is not valid "
                            "UTF-8; the bytes tokenizer takes any text", at);
        if (code == 0)
            return qn__fail(QN_BAD_DATA, "character tokenizer: byte %zu of the text is NUL; the "
                            "bytes tokenizer takes any text", at);
        seen[code] = 1;
        at += length;
    }
    return QN_OK;
}

static qn_status add_characters(qn_tokenizer *t, const uint8_t *seen)
{
    char text[4];
    for (uint32_t code = 1; code < CODES; code++)
        if (seen[code])
            QN_TRY(qn__vocab_add(&t->vocab, text, qn__utf8_encode(code, text), QN__TOKEN_NORMAL));
    return qn__tokenizer_index(t);
}

qn_status qn_tokenizer_create_chars(const char *text, size_t bytes, qn_tokenizer **tokenizer)
{
    QN_CHECK(tokenizer && text, "qn_tokenizer_create_chars: a pointer is NULL");
    *tokenizer = NULL;
    if (bytes == 0) return qn__fail(QN_BAD_DATA, "character tokenizer: the text is empty");
    uint8_t *seen = calloc(CODES, 1);
    if (!seen) return qn__fail(QN_OS_ERROR, "character tokenizer: out of memory");
    qn_status status = mark_characters((const uint8_t *)text, bytes, seen);
    if (status == QN_OK) status = qn__tokenizer_create(QN_TOKENIZER_CHARS, tokenizer);
    if (status == QN_OK) status = add_characters(*tokenizer, seen);
    if (status != QN_OK) qn_tokenizer_destroy(tokenizer);
    free(seen);
    return status;
}

static qn_status fill_bytes(qn_tokenizer *t)
{
    static const char name[] = "<|endoftext|>";
    for (int i = 0; i < 256; i++) {
        uint8_t byte = (uint8_t)i;
        QN_TRY(qn__vocab_add(&t->vocab, &byte, 1, QN__TOKEN_NORMAL));
    }
    QN_TRY(qn__vocab_add(&t->vocab, name, strlen(name), QN__TOKEN_CONTROL));
    t->bos = t->eos = 256;
    QN_TRY(qn__tokenizer_index(t));
    qn__tokenizer_mark_ends(t);
    return QN_OK;
}

qn_status qn_tokenizer_create_bytes(qn_tokenizer **tokenizer)
{
    QN_CHECK(tokenizer, "qn_tokenizer_create_bytes: the pointer is NULL");
    QN_TRY(qn__tokenizer_create(QN_TOKENIZER_BYTES, tokenizer));
    qn_status status = fill_bytes(*tokenizer);
    if (status != QN_OK) qn_tokenizer_destroy(tokenizer);
    return status;
}
