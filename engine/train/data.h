/* Tokens to train and validate on, and which of them a step sees. */
#ifndef QN_TRAIN_DATA_H
#define QN_TRAIN_DATA_H

#include "train/options.h"
#include "train/samples.h"
#include "train/token_file.h"

#include <quernel/text.h>

typedef struct qn_part {
    uint64_t *ends;   /* owned: of documents in shards */
    qn_tokens tokens; /* its shards, if any, are owned */
    qn_samples samples;
} qn_part;

typedef struct qn_data {
    qn_tokenizer *tokenizer;
    qn_token_file files[2]; /* not with shards: of the data, and of the data to validate on */
    bool cached;            /* the tokens were there already */
    qn_part train, val;     /* the samples of val are taken in order */
} qn_data;

/* How the keys packing and shuffle, and the kind of data where they say auto, sample. */
qn_status qn__data_sampling(const qn_train_options *options, qn_sampling *how) QN_MUST_USE;
/* Read, tokenize (learning the tokenizer if asked) and split as the options say. On a resume the
 * tokenizer comes from `out`. progress may be NULL. The data must stay where it is: its samples
 * point into it. */
qn_status qn__data_open(const qn_train_options *options, qn_work_fn progress, void *user,
                        qn_data *data) QN_MUST_USE;
void qn__data_close(qn_data *data);
/* For people: see qn_trainer_data_json. A new reference. */
qn_status qn__data_describe(const qn_data *data, json_t **description) QN_MUST_USE;
/* For a checkpoint: how samples are taken, and of what. A new reference. */
qn_status qn__data_state(const qn_data *data, json_t **state) QN_MUST_USE;
/* Would a run go on with the samples it had? QN_BAD_ARGUMENT: another packing or shuffle; a log
 * line warns of other data. A state without these notes (NULL) passes. */
qn_status qn__data_check_state(const qn_data *data, const json_t *state,
                               const char *folder) QN_MUST_USE;

#endif
