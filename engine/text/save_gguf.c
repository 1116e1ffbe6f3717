/* A tokenizer as GGUF metadata, so that llama.cpp makes the same ids of a text. */
#include "text/save.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY(name) "tokenizer.ggml." name

/* Ids past the tokenizer's, and gaps in it, are tokens that no text has. */
static bool is_gap(const qn_tokenizer *t, size_t id)
{
    return id >= t->vocab.count || t->vocab.token[id].bytes == 0;
}

static qn_status put_tokens(const qn_tokenizer *t, size_t count, qn_gguf_writer *writer)
{
    qn_str text = {0};
    qn_status status = qn__gguf_writer_strings(writer, KEY("tokens"), count);
    for (size_t id = 0; id < count && status == QN_OK; id++) {
        char made[32];
        if (is_gap(t, id)) {
            snprintf(made, sizeof made, "[PAD%zu]", id);
            status = qn__gguf_writer_element(writer, made, strlen(made));
        } else if (t->vocab.token[id].type == QN__TOKEN_USER) {
            status = qn__gguf_writer_element(writer, qn__vocab_text(&t->vocab, id),
                                             t->vocab.token[id].bytes);
        } else {
            status = qn__hf_write_token(t, id, &text);
            if (status == QN_OK) status = qn__gguf_writer_element(writer, text.data, text.length);
        }
    }
    qn__str_free(&text);
    return status;
}

static qn_status put_types(const qn_tokenizer *t, size_t count, qn_gguf_writer *writer)
{
    int32_t *types = malloc(count * sizeof *types + 1);
    if (!types) return qn__fail(QN_OS_ERROR, "saving a tokenizer: out of memory");
    for (size_t id = 0; id < count; id++)
        types[id] = is_gap(t, id) ? (int32_t)QN__TOKEN_UNUSED : (int32_t)t->vocab.token[id].type;
    qn_status status = qn__gguf_writer_array(writer, KEY("token_type"), QN_GGUF_I32, types, count);
    free(types);
    return status;
}

/* Where pieces join by rank the best rank that makes a token is its score; a token that no merge
 * makes is last. */
static qn_status put_scores(const qn_tokenizer *t, size_t count, qn_gguf_writer *writer)
{
    float *scores = malloc(count * sizeof *scores + 1);
    if (!scores) return qn__fail(QN_OS_ERROR, "saving a tokenizer: out of memory");
    for (size_t id = 0; id < count; id++)
        scores[id] = t->by_score && !is_gap(t, id) ? t->vocab.token[id].score
                                                   : -1.0f - (float)t->merges.count;
    for (size_t i = 0; !t->by_score && t->merges.slot && i <= t->merges.mask; i++) {
        const qn__merge *merge = &t->merges.slot[i];
        if (merge->left < 0 || (size_t)merge->id >= count) continue;
        float score = -(float)merge->rank;
        if (score > scores[merge->id]) scores[merge->id] = score;
    }
    qn_status status = qn__gguf_writer_array(writer, KEY("scores"), QN_GGUF_F32, scores, count);
    free(scores);
    return status;
}

static qn_status put_merges(const qn_tokenizer *t, qn_gguf_writer *writer)
{
    json_t *merges = json_array();
    qn_status status = merges ? qn__hf_write_merges(t, merges)
                              : qn__fail(QN_OS_ERROR, "saving a tokenizer: out of memory");
    size_t count = json_array_size(merges);
    if (status == QN_OK) status = qn__gguf_writer_strings(writer, KEY("merges"), count);
    for (size_t i = 0; i < count && status == QN_OK; i++) {
        const json_t *merge = json_array_get(merges, i);
        status =
            qn__gguf_writer_element(writer, json_string_value(merge), json_string_length(merge));
    }
    json_decref(merges);
    return status;
}

static qn_status put_id(qn_gguf_writer *writer, const char *key, int32_t id)
{
    return id >= 0 ? qn__gguf_writer_u32(writer, key, (uint32_t)id) : QN_OK;
}

static qn_status put_kind(const qn_tokenizer *t, qn_gguf_writer *writer)
{
    bool pieces = t->kind == QN_TOKENIZER_PIECES;
    if (t->kind == QN_TOKENIZER_CHARS)
        return qn__fail(QN_UNSUPPORTED,
                        "GGUF has no tokenizer of single characters: --tokenizer none writes the "
                        "model without one");
    if (t->kind == QN_TOKENIZER_WORDS)
        return qn__fail(QN_UNSUPPORTED,
                        "WordPiece is read from GGUF, not written: --tokenizer none writes the "
                        "model without one");
    QN_TRY(qn__gguf_writer_text(writer, KEY("model"), pieces ? "llama" : "gpt2"));
    if (pieces) return qn__gguf_writer_text(writer, KEY("pre"), "default");
    const char *name = t->splitter.stages == 0 && t->merges.count == 0
                           ? "gpt-2"
                           : qn__splitter_name(&t->splitter, t->ignores_merges);
    if (!name)
        return qn__fail(QN_UNSUPPORTED,
                        "this tokenizer cuts text in a way that GGUF has no name for: --tokenizer "
                        "none writes the model without one");
    return qn__gguf_writer_text(writer, KEY("pre"), name);
}

qn_status qn__tokenizer_to_gguf(const qn_tokenizer *t, int32_t vocab, qn_gguf_writer *writer)
{
    bool pieces = t->kind == QN_TOKENIZER_PIECES;
    size_t count = (size_t)vocab;
    QN_CHECK(t->vocab.count <= count,
             "the tokenizer has %zu tokens, the model %d: they were not made for each other",
             t->vocab.count, vocab);
    QN_TRY(put_kind(t, writer));
    QN_TRY(put_tokens(t, count, writer));
    if (pieces) QN_TRY(put_scores(t, count, writer));
    QN_TRY(put_types(t, count, writer));
    if (!pieces) QN_TRY(put_merges(t, writer));
    QN_TRY(put_id(writer, KEY("bos_token_id"), t->bos));
    QN_TRY(put_id(writer, KEY("eos_token_id"), t->eos));
    QN_TRY(put_id(writer, KEY("unknown_token_id"), t->unknown));
    QN_TRY(qn__gguf_writer_bool(writer, KEY("add_bos_token"), t->wants_bos));
    if (!pieces) return QN_OK;
    return qn__gguf_writer_bool(writer, KEY("add_space_prefix"), t->prefix != QN__PREFIX_NONE);
}
