/* What a run begins with: a new model of the options, or the weights of another; all of it trained,
 * or adapters beside it. */
#ifndef QN_TRAIN_START_H
#define QN_TRAIN_START_H

#include "file/model_file.h"
#include "model/lora.h"
#include "train/options.h"

typedef struct qn_start {
    qn_model_config config;
    qn_lora lora;       /* of rank 0: none */
    qn_model_file file; /* options->model, open; else of kind NONE */
    const char *path;   /* options->model */
    uint64_t hash;      /* of its weights, once read */
} qn_start;

/* With a model and no tokenizer named, the tokenizer is the model's. */
qn_status qn__start_tokenizer(qn_train_options *options) QN_MUST_USE;
/* The files of a tokenizer that is the model's into options->out, over those made of it: they hold
 * more than we read, a chat template say. */
qn_status qn__start_copy_tokenizer(const qn_train_options *options) QN_MUST_USE;
/* The configuration and the adapters; closes nothing it did not open. */
qn_status qn__start_open(const qn_train_options *options, const qn_tokenizer *tokenizer,
                         qn_start *start) QN_MUST_USE;
void qn__start_close(qn_start *start);
/* The adapters that the options ask for. */
qn_status qn__start_lora(const qn_train_options *options, const qn_model_config *config,
                         qn_lora *lora) QN_MUST_USE;
/* Fill the weights of a store, and the adapters, by the seed or from the file. */
qn_status qn__start_weights(qn_start *start, const qn_train_options *options,
                            qn_store *store) QN_MUST_USE;
/* For a checkpoint of adapters: of which model they are, and how they are made. A new reference. */
json_t *qn__start_to_json(const qn_start *start);
/* Are these the weights a checkpoint's adapters were made for? json NULL: it has none. */
qn_status qn__start_check(const qn_start *start, const json_t *json,
                          const char *folder) QN_MUST_USE;

#endif
