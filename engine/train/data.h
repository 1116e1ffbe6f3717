/* Tokens to train and validate on, and which of them a step sees. */
#ifndef QN_TRAIN_DATA_H
#define QN_TRAIN_DATA_H

#include "file/shards.h"
#include "train/options.h"

#include <quernel/text.h>

/* A run of tokens in memory, or in shards. */
typedef struct qn_tokens {
    int32_t *ids; /* owned; NULL when in shards */
    qn_shards *shards;
    uint64_t count;
    double bytes_a_token; /* of the text; 0 when not known */
} qn_tokens;

typedef struct qn_data {
    qn_tokenizer *tokenizer;
    qn_tokens train, val;
} qn_data;

/* Read, tokenize (learning the tokenizer if asked) and split as the options say. On a resume the
 * tokenizer comes from `out`. progress may be NULL. */
qn_status qn__data_open(const qn_train_options *options, qn_work_fn progress, void *user,
                        qn_data *data) QN_MUST_USE;
void qn__data_close(qn_data *data);
qn_status qn__tokens_read(const qn_tokens *tokens, uint64_t first, size_t count,
                          int32_t *ids) QN_MUST_USE;
/* Where sequence `index` of step `step` starts: uniform, a function of (seed, step, index) only. */
uint64_t qn__data_start(const qn_tokens *tokens, int64_t context, uint64_t seed, int64_t step,
                        int64_t index);

#endif
