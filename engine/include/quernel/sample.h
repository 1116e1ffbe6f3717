/* Choosing the next token from logits, on the host.
 *
 *   qn_sampler_options options;
 *   qn_sampler_options_init(&options);
 *   options.top_k = 40;
 *   QN_TRY(qn_sampler_create(&options, vocab, &sampler));
 *   QN_TRY(qn_sampler_choose(sampler, logits, NULL, &token));
 *   QN_TRY(qn_sampler_accept(sampler, token));
 *   qn_sampler_destroy(&sampler);
 *
 * The chain. First, on all logits, in this order:
 *
 *   logit bias; repetition, presence and frequency penalties; DRY
 *
 * Then, where temperature is 0, the largest logit is the choice (of equal ones the smallest id).
 * Otherwise the stages that `samplers` names, in its order, by default
 *
 *   top_k typical top_p min_p xtc temperature
 *
 * each on what the one before has left, with the probabilities of softmax over that; then one
 * random number chooses. With mirostat 2 the stages are temperature and mirostat.
 *
 * The random numbers are Philox's, keyed by the seed and the position of the token in its sequence:
 * the same seed, position and logits give the same token, whatever was drawn before. A logit that
 * is not a number is QN_NON_FINITE; -infinity is never chosen; +infinity counts as the largest
 * float. When no token is left, QN_NON_FINITE. */
#ifndef QUERNEL_SAMPLE_H
#define QUERNEL_SAMPLE_H

#include <quernel/option.h>
#include <quernel/text.h>

/* engine/model/sampler_list.def has a row for each, with its range and its default. All zero but
 * `size`: greedy, everything off. Texts are borrowed until a sampler was made. */
typedef struct qn_sampler_options {
    uint32_t size;            /* sizeof(qn_sampler_options) */
    double temperature;       /* 0: greedy */
    int64_t top_k;            /* the k likeliest; 0: all */
    double top_p;             /* the fewest likeliest that reach p together; 0, 1: all */
    double min_p;             /* at least p times as likely as the likeliest; 0: all */
    double typical;           /* the fewest of typical surprise that reach p together; 0, 1: all */
    double xtc_probability;   /* chance that XTC is applied; 0: never */
    double xtc_threshold;     /* of those at least so likely only the least likely stays */
    double repeat_penalty;    /* positive logits / p, negative * p; 0, 1: off */
    double presence_penalty;  /* taken from logits of tokens that were there */
    double frequency_penalty; /* the same, times how often */
    int64_t penalty_window;   /* of the three: last tokens looked at; 0: all */
    double dry_multiplier;    /* 0: off */
    double dry_base;          /* 0: 1.75 */
    int64_t dry_length;       /* repeats up to this long are free */
    int64_t dry_window;       /* last tokens looked at; 0: all */
    const char *dry_breakers; /* characters a repeat does not reach across; NULL: as by default */
    int64_t mirostat;         /* 0: off; 2 */
    double mirostat_tau;      /* surprise aimed at, in bits */
    double mirostat_eta;      /* how fast it gets there */
    const char *logit_bias;   /* "ID=BIAS,ID=BIAS": added to logits; may be -inf */
    const char *samplers;     /* the stages, in order; NULL, "": all, as above */
    int64_t seed;
    const qn_tokenizer *tokenizer; /* for dry_breakers; NULL: none */
} qn_sampler_options;

/* The defaults of the table. */
QN_API void qn_sampler_options_init(qn_sampler_options *options);
/* The i-th row of the table; NULL past the last. */
QN_API const qn_option_info *qn_sampler_option(int i);
/* By key, from text; a text value is borrowed. QN_BAD_ARGUMENT names the key, the value and what is
 * allowed. */
QN_API qn_status qn_sampler_options_set(qn_sampler_options *options, const char *key,
                                        const char *value) QN_MUST_USE;

/* The tokens of one sequence so far, and how to go on. One thread at a time. */
typedef struct qn_sampler qn_sampler;

/* options NULL: greedy. vocab: how many logits there are. Memory: about 20 bytes a token of the
 * vocabulary and 8 a token of the sequence. */
QN_API qn_status qn_sampler_create(const qn_sampler_options *options, int32_t vocab,
                                   qn_sampler **sampler) QN_MUST_USE;
QN_API void qn_sampler_destroy(qn_sampler **sampler);
/* The token at the position after those accepted. allowed: bit i % 32 of word i / 32 says whether
 * token i may be chosen; NULL: all may. Changes nothing but what accept looks at. */
QN_API qn_status qn_sampler_choose(qn_sampler *sampler, const float *logits,
                                   const uint32_t *allowed, int32_t *token) QN_MUST_USE;
/* The sequence goes on with this token, of a prompt or chosen. */
QN_API qn_status qn_sampler_accept(qn_sampler *sampler, int32_t token) QN_MUST_USE;
/* Keep the first `length` tokens. Mirostat's state stays, unless length is 0. */
QN_API void qn_sampler_rewind(qn_sampler *sampler, size_t length);

#endif
