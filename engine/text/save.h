/* Parts of writing a tokenizer.json, and tokenizers in GGUF. */
#ifndef QN_TEXT_SAVE_H
#define QN_TEXT_SAVE_H

#include "base/json.h"
#include "base/str.h"
#include "file/gguf_write.h"
#include "text/tokenizer.h"

/* A token as the file's vocabulary and merges spell it; replaces what is in `out`. */
qn_status qn__hf_write_token(const qn_tokenizer *t, size_t id, qn_str *out) QN_MUST_USE;
/* Append "left right" for each merge, in order. */
qn_status qn__hf_write_merges(const qn_tokenizer *t, json_t *merges) QN_MUST_USE;
/* Metadata tokenizer.ggml.* of a model with `vocab` tokens, the ids past the tokenizer's unused.
 * QN_UNSUPPORTED: characters, or a pre-tokenizer without a name in GGUF. */
qn_status qn__tokenizer_to_gguf(const qn_tokenizer *t, int32_t vocab,
                                qn_gguf_writer *writer) QN_MUST_USE;

#endif
