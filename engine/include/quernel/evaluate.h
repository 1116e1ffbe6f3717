/* How well a model predicts a text, by llama.cpp's protocol, and how far a smaller model has moved
 * from the one it was made of. */
#ifndef QUERNEL_EVALUATE_H
#define QUERNEL_EVALUATE_H

#include <quernel/model.h>

/* The text is cut into chunks of `context` tokens, count / context of them, the rest is left out.
 * Each is predicted afresh; of its tokens the second half is scored, so that each has at least
 * context / 2 before it: chunk[i] from all before it, i in (context / 2, context).
 * Source: llama.cpp, tools/perplexity. */
typedef struct qn_chunks {
    uint32_t size;   /* sizeof(qn_chunks) */
    int32_t context; /* tokens of a chunk, at least 4, at most the model's context */
    const int32_t *tokens;
    size_t count;
    bool bos; /* tokens[0] is BOS: it stands in the place of every chunk's first token */
} qn_chunks;

typedef struct qn_perplexity {
    uint32_t size;     /* sizeof(qn_perplexity) */
    int64_t chunks, predicted;
    double nll;        /* mean of -log p, nats a token */
    double nll_error;  /* its standard error */
    double perplexity; /* exp(nll) */
} qn_perplexity;

/* progress counts chunks and may be NULL; false stops with QN_INTERRUPTED. */
QN_API qn_status qn_model_perplexity(qn_model *model, const qn_chunks *chunks,
                                     qn_progress_fn progress, void *user,
                                     qn_perplexity *result) QN_MUST_USE;

/* Over the scored places: KL(p_reference || p_model) = sum_v p_r log(p_r / p_m), in nats. */
typedef struct qn_divergence {
    uint32_t size; /* sizeof(qn_divergence) */
    qn_perplexity model, reference;
    double mean, mean_error; /* of KL, and its standard error */
    double median, percent_99, percent_999, most;
    double top; /* part of the places where both find the same token likeliest */
} qn_divergence;

/* QN_BAD_ARGUMENT where the vocabularies differ in size. */
QN_API qn_status qn_model_divergence(qn_model *model, qn_model *reference, const qn_chunks *chunks,
                                     qn_progress_fn progress, void *user,
                                     qn_divergence *result) QN_MUST_USE;

#endif
