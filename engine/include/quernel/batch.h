/* Many sequences of one model at once, each with its own length, in one cache.
 *
 *   qn_model_options options = {.size = sizeof options, .sequences = 8, .cache_tokens = 16384};
 *   QN_TRY(qn_model_open(device, path, &options, &model));
 *   QN_TRY(qn_batch_create(model, &batch));
 *   QN_TRY(qn_batch_add(batch, prompt, count, &sequence, &reused));
 *   ... rows: of this sequence the tokens from `reused` on, of the others one each ...
 *   QN_TRY(qn_batch_run(batch, rows, row_count, &logits));
 *   QN_TRY(qn_batch_remove(batch, sequence, true));
 *   qn_batch_destroy(&batch);
 *
 * The bits of a sequence's logits do not depend on its neighbours, on which rows run together, or
 * on whether its beginning was reused; only qn_batch_shift changes them. One thread at a time. */
#ifndef QUERNEL_BATCH_H
#define QUERNEL_BATCH_H

#include <quernel/model.h>

typedef struct qn_batch qn_batch;

/* The next token of a sequence. */
typedef struct qn_batch_row {
    int32_t sequence, token;
    bool logits; /* after this token, wanted */
} qn_batch_row;

/* For as many sequences and tokens as the model was opened for. The model's cache is this batch's
 * until a session or another batch is made of the model. Parent: the model. */
QN_API qn_status qn_batch_create(qn_model *model, qn_batch **batch) QN_MUST_USE;
QN_API void qn_batch_destroy(qn_batch **batch);
/* A new sequence, to become `prompt`. Where another, kept or alive, begins with the same tokens it
 * shares their rows: *reused of them, at most count - 1, are then in it and need not be run. NULL
 * and 0: an empty one. QN_BAD_ARGUMENT when all are alive; one that was kept gives way, the one
 * used longest ago first. */
QN_API qn_status qn_batch_add(qn_batch *batch, const int32_t *prompt, size_t count,
                              int32_t *sequence, int32_t *reused) QN_MUST_USE;
/* Append the rows, those of a sequence in their order. *logits, if wanted, is [rows with logits,
 * vocab], borrowed until the next call. Nothing is run when the rows do not fit: QN_BAD_ARGUMENT
 * says whether the context is full (qn_batch_shift) or the cache (qn_batch_remove). */
QN_API qn_status qn_batch_run(qn_batch *batch, const qn_batch_row *rows, size_t count,
                              const float **logits) QN_MUST_USE;
/* The sequence ends. keep: its rows stay for others that begin as it did, until their room is
 * needed. */
QN_API qn_status qn_batch_remove(qn_batch *batch, int32_t sequence, bool keep) QN_MUST_USE;
/* Keep the first `length` tokens. */
QN_API qn_status qn_batch_rewind(qn_batch *batch, int32_t sequence, int32_t length) QN_MUST_USE;
/* Drop the `drop` tokens after the first `keep`. The keys of those behind are turned to their new
 * positions (the difference of the rotary angles, in f32, and rounded to the cache's type again).
 * An approximation: keys and values of the second layer and above were made while the dropped
 * tokens were seen, and stay so; with one layer only rounding is left. What a sequence has after
 * its first `keep` tokens is then reused by no other. QN_UNSUPPORTED for learned positions. */
QN_API qn_status qn_batch_shift(qn_batch *batch, int32_t sequence, int32_t keep,
                                int32_t drop) QN_MUST_USE;
/* Tokens of a sequence; -1: there is no such one. */
QN_API int32_t qn_batch_length(const qn_batch *batch, int32_t sequence);
/* Tokens that the cache has room for, those of kept sequences given up. */
QN_API int32_t qn_batch_room(const qn_batch *batch);

#endif
