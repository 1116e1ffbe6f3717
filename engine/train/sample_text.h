/* Text that a model writes while it is trained, to be looked at. */
#ifndef QN_TRAIN_SAMPLE_TEXT_H
#define QN_TRAIN_SAMPLE_TEXT_H

#include "train/options.h"

#include <quernel/text.h>

typedef struct qn_sample_text qn_sample_text;

/* *samples is NULL when options->sample_tokens is 0. QN_BAD_ARGUMENT: a prompt that is not UTF-8,
 * that the tokenizer cannot say, or that is longer than the context. */
qn_status qn__sample_text_create(const qn_train_options *options, const qn_tokenizer *tokenizer,
                                 qn_sample_text **samples) QN_MUST_USE;
void qn__sample_text_destroy(qn_sample_text **samples);
/* Prompt and continuation as valid UTF-8 without NUL, owned by `samples` until the next call; ends
 * at the number of tokens, the context or the end of the text. The same weights give the same text:
 * the random numbers are the same each time. *text is NULL with `samples` NULL, and when the model
 * has no next token to offer (logits that are not numbers). */
qn_status qn__sample_text_make(qn_sample_text *samples, qn_model *model,
                               const char **text) QN_MUST_USE;

#endif
