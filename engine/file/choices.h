/* Multiple-choice questions as tokens, and llm.c's file of them.
 *
 * A header of 256 int32: 20240522, 1, questions, bytes of the longest; then one question after
 * another, as uint16: 65535, bytes of the question, its index, the right ending, endings, tokens of
 * the context, these tokens; for each ending its tokens' number and these. Nothing after the last.
 * Source: llm.c, dev/data/data_common.py (write_evalfile) and llmc/dataloader.h (EvalLoader). */
#ifndef QN_FILE_CHOICES_H
#define QN_FILE_CHOICES_H

#include <quernel/choices.h>

enum { QN_MAX_ENDINGS = 64 };

typedef struct qn_span {
    size_t first; /* token */
    int32_t count;
} qn_span;

typedef struct qn_question {
    int32_t label;   /* the right ending, from 0 */
    int32_t endings; /* 2 ... QN_MAX_ENDINGS */
    size_t spans;    /* the context's; the endings' follow */
} qn_question;

struct qn_choices {
    qn_question *questions;
    size_t count, capacity;
    qn_span *spans;
    size_t span_count, span_capacity;
    int32_t *tokens;
    size_t token_count, token_capacity;
};

qn_status qn__choices_create(qn_choices **choices) QN_MUST_USE;
/* A question, then its context, then its endings: each of one token or more. */
qn_status qn__choices_add(qn_choices *choices, int32_t label, int32_t endings) QN_MUST_USE;
qn_status qn__choices_add_span(qn_choices *choices, const int32_t *tokens,
                               size_t count) QN_MUST_USE;

/* Does a file begin like llm.c's? */
bool qn__choices_looks_like(const void *bytes, size_t count);
/* QN_BAD_DATA names the question and the field that cannot be. */
qn_status qn__choices_parse(const void *bytes, size_t count, const char *origin,
                            qn_choices **choices) QN_MUST_USE;

#endif
