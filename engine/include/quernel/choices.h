/* Multiple-choice questions: which of a few endings does a model find likeliest?
 *
 *   qn_choices_load("hellaswag_val.bin", NULL, &choices);
 *   qn_model_choose(model, choices, NULL, &scores);
 *   printf("acc_norm %.4f\n", (double)scores.right_by_mean / (double)scores.questions); */
#ifndef QUERNEL_CHOICES_H
#define QUERNEL_CHOICES_H

#include <quernel/model.h>

typedef struct qn_choices qn_choices;

/* Recognised by content: llm.c's evaluation file (tokens; the tokenizer is not used and may be
 * NULL), or lines of JSON {"ctx": text, "endings": [texts], "label": which is right, from 0}, which
 * are tokenized: white space between context and ending becomes one space, and belongs to the
 * ending. The context begins with BOS where the tokenizer wants one. QN_BAD_DATA names the question
 * or line. */
QN_API qn_status qn_choices_load(const char *path, const qn_tokenizer *tokenizer,
                                 qn_choices **choices) QN_MUST_USE;
QN_API void qn_choices_destroy(qn_choices **choices);
QN_API int64_t qn_choices_count(const qn_choices *choices);
/* Write llm.c's file; QN_BAD_ARGUMENT where a token or a question is too large for it. */
QN_API qn_status qn_choices_save(const qn_choices *choices, const char *path) QN_MUST_USE;

/* How a model answered one question. */
typedef struct qn_answer {
    uint32_t size; /* sizeof(qn_answer) */
    int32_t label, endings;
    int32_t by_sum, by_mean; /* the endings chosen */
    int64_t index;
    const double *nll;     /* [endings] -log p(ending | context), nats; valid during the call */
    const int32_t *tokens; /* [endings] of each ending */
} qn_answer;
/* Return false to stop: QN_INTERRUPTED. */
typedef bool (*qn_answer_fn)(void *user, const qn_answer *answer);

typedef struct qn_choose_options {
    uint32_t size;       /* sizeof(qn_choose_options) */
    int batch;           /* endings computed at once, of the longest; 0: 8 */
    qn_answer_fn answer; /* each question, in order; NULL: none */
    void *user;
} qn_choose_options;

typedef struct qn_choose_scores {
    int64_t questions;
    int64_t right_by_sum;  /* the ending of least nll is the right one: accuracy */
    int64_t right_by_mean; /* of least nll a token: normalised accuracy, HellaSwag's figure */
    int64_t shortened;     /* contexts that lost their beginning to fit the model's */
    int64_t tokens;        /* computed */
    double chance;         /* part that a blind guess gets right */
} qn_choose_scores;

/* Each ending after its context by itself, its tokens' losses from the model's logits; the first of
 * equals is chosen. Questions do not touch each other: batch changes no bit. options may be NULL.
 */
QN_API qn_status qn_model_choose(qn_model *model, const qn_choices *choices,
                                 const qn_choose_options *options,
                                 qn_choose_scores *scores) QN_MUST_USE;

#endif
