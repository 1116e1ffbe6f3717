/* Ids to text: at once, or as they come. */
#include "text/tokenizer.h"

#include "base/check.h"
#include "base/str.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

/* Add the text of one token. *at_start is true until some text has come out: there the space that
 * encoding put before the text is dropped. */
static qn_status add_token(const qn_tokenizer *t, int32_t id, bool *at_start, qn_str *out)
{
    size_t bytes;
    const char *text = qn_tokenizer_token_bytes(t, id, &bytes);
    if (!text)
        return qn__fail(QN_BAD_ARGUMENT, "token id %d is outside the vocabulary of %zu", (int)id,
                        t->vocab.count);
    if (t->vocab.token[id].type == QN__TOKEN_CONTROL || bytes == 0) return QN_OK;
    if (*at_start && t->drops_space && text[0] == ' ') {
        text++;
        bytes--;
    }
    *at_start = false;
    qn__str_add_bytes(out, text, bytes);
    return QN_OK;
}

static qn_status no_memory(void)
{
    return qn__fail(QN_OS_ERROR, "tokenizer: no memory for the text");
}

qn_status qn_tokenizer_decode(const qn_tokenizer *tokenizer, const int32_t *ids, size_t count,
                              char **text, size_t *bytes)
{
    QN_CHECK(tokenizer && text && bytes && (ids || count == 0),
             "qn_tokenizer_decode: a pointer is NULL");
    qn_str out = {0};
    bool at_start = true;
    qn_status status = QN_OK;
    *text = NULL;
    *bytes = 0;
    qn__str_add_bytes(&out, "", 0);
    for (size_t i = 0; i < count && status == QN_OK; i++)
        status = add_token(tokenizer, ids[i], &at_start, &out);
    if (status == QN_OK && out.failed) status = no_memory();
    if (status != QN_OK) {
        qn__str_free(&out);
        return status;
    }
    *text = out.data;
    *bytes = out.length;
    return QN_OK;
}

struct qn_decoder {
    const qn_tokenizer *tokenizer;
    bool at_start;
    qn_str waiting; /* the start of a character, at most 3 bytes between calls */
    qn_str out;
};

qn_status qn_decoder_create(const qn_tokenizer *tokenizer, bool at_start, qn_decoder **decoder)
{
    QN_CHECK(tokenizer && decoder, "qn_decoder_create: a pointer is NULL");
    *decoder = calloc(1, sizeof **decoder);
    if (!*decoder) return no_memory();
    (*decoder)->tokenizer = tokenizer;
    (*decoder)->at_start = at_start;
    return QN_OK;
}

void qn_decoder_destroy(qn_decoder **decoder)
{
    if (!decoder || !*decoder) return;
    qn__str_free(&(*decoder)->waiting);
    qn__str_free(&(*decoder)->out);
    free(*decoder);
    *decoder = NULL;
}

/* Move whole characters from waiting to out; what is cut short at the end stays, unless `all`. */
static qn_status flush(qn_decoder *d, bool all, const char **text, size_t *bytes)
{
    const uint8_t *data = (const uint8_t *)d->waiting.data;
    size_t at = 0, count = d->waiting.length;
    while (at < count) {
        bool cut = false;
        size_t length = qn__utf8_decode(data + at, count - at, NULL);
        if (length > 0) {
            qn__str_add_bytes(&d->out, data + at, length);
        } else {
            length = qn__utf8_bad(data + at, count - at, &cut);
            if (cut && !all) break;
            qn__str_add_bytes(&d->out, "\xEF\xBF\xBD", 3);
        }
        at += length;
    }
    if (d->waiting.failed || d->out.failed) return no_memory();
    if (at > 0) memmove(d->waiting.data, data + at, count - at);
    d->waiting.length = count - at;
    *text = qn__str_text(&d->out);
    *bytes = d->out.length;
    return QN_OK;
}

static void clear(qn_str *str)
{
    str->length = 0;
    if (str->data) str->data[0] = 0;
}

qn_status qn_decoder_push(qn_decoder *decoder, int32_t id, const char **text, size_t *bytes)
{
    QN_CHECK(decoder && text && bytes, "qn_decoder_push: a pointer is NULL");
    *text = "";
    *bytes = 0;
    clear(&decoder->out);
    QN_TRY(add_token(decoder->tokenizer, id, &decoder->at_start, &decoder->waiting));
    return flush(decoder, false, text, bytes);
}

qn_status qn_decoder_finish(qn_decoder *decoder, const char **text, size_t *bytes)
{
    QN_CHECK(decoder && text && bytes, "qn_decoder_finish: a pointer is NULL");
    clear(&decoder->out);
    return flush(decoder, true, text, bytes);
}
