/* Parts of writing a tokenizer.json. */
#ifndef QN_TEXT_SAVE_H
#define QN_TEXT_SAVE_H

#include "base/json.h"
#include "base/str.h"
#include "text/tokenizer.h"

/* A token as the file's vocabulary and merges spell it; replaces what is in `out`. */
qn_status qn__hf_write_token(const qn_tokenizer *t, size_t id, qn_str *out) QN_MUST_USE;
/* Append "left right" for each merge, in order. */
qn_status qn__hf_write_merges(const qn_tokenizer *t, json_t *merges) QN_MUST_USE;

#endif
