/* Generation: a model, a sampler, a grammar, and tokens guessed ahead.
 *
 *   qn_generator_options options = {.size = sizeof options, .sampler = &sampler, .lookup = 3};
 *   QN_TRY(qn_generator_create(model, &options, &generator));
 *   QN_TRY(qn_generator_feed(generator, prompt, count));
 *   while (...) QN_TRY(qn_generator_next(generator, &token));
 *   qn_generator_destroy(&generator);
 *
 * Speculation: tokens guessed by a draft model, or by looking up what followed the last tokens when
 * they were there before, are fed together with the last token; the model's choice at each place is
 * then made as ever, with the random number of its position, and the guess is kept while it is that
 * choice. A row's logits have the same bits however many rows are fed, so the text is that without
 * speculation, greedy or sampled. */
#ifndef QUERNEL_GENERATE_H
#define QUERNEL_GENERATE_H

#include <quernel/grammar.h>
#include <quernel/model.h>

enum { QN_MAX_DRAFT = 31 };

typedef struct qn_generator_options {
    uint32_t size;                     /* sizeof(qn_generator_options) */
    const qn_sampler_options *sampler; /* NULL: greedy */
    const qn_grammar *grammar;         /* NULL: none; otherwise tokenizer is needed */
    const qn_tokenizer *tokenizer;
    qn_model *draft;      /* guesses; of the same vocabulary. NULL: none */
    int32_t lookup;       /* longest run of tokens to look up; 0: none. Tried before `draft` */
    int32_t draft_tokens; /* guessed at a time, up to QN_MAX_DRAFT; 0: 8 */
    /* When the context is full, drop half of the tokens after the first `keep` and go on: an
     * approximation, as qn_batch_shift says (quernel/batch.h). false: QN_BAD_ARGUMENT then. */
    bool shift;
    int32_t keep;
} qn_generator_options;

typedef struct qn_generator_stats {
    int64_t tokens;            /* chosen */
    int64_t feeds;             /* of the model, after the prompt */
    int64_t drafted, accepted; /* tokens guessed, and those that were right */
    int64_t dropped;           /* tokens, by shifting */
} qn_generator_stats;

typedef struct qn_generator qn_generator;

/* Model, draft, grammar and tokenizer must outlive it. The model's cache is the generator's. */
QN_API qn_status qn_generator_create(qn_model *model, const qn_generator_options *options,
                                     qn_generator **generator) QN_MUST_USE;
QN_API void qn_generator_destroy(qn_generator **generator);
/* A prompt, or part of one; the grammar does not see it. */
QN_API qn_status qn_generator_feed(qn_generator *generator, const int32_t *tokens,
                                   size_t count) QN_MUST_USE;
/* The next token, which then belongs to the sequence. QN_BAD_ARGUMENT when the context is full. */
QN_API qn_status qn_generator_next(qn_generator *generator, int32_t *token) QN_MUST_USE;
/* Tokens of the sequence: of prompts and chosen, less those dropped. */
QN_API int32_t qn_generator_length(const qn_generator *generator);
/* Is the grammar's text whole, so that nothing can follow it? */
QN_API bool qn_generator_done(const qn_generator *generator);
QN_API qn_generator_stats qn_generator_get_stats(const qn_generator *generator);

#endif
