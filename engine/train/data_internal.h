/* What the readers of training data share. */
#ifndef QN_TRAIN_DATA_INTERNAL_H
#define QN_TRAIN_DATA_INTERNAL_H

#include "text/dataset.h"
#include "train/data.h"

/* The caller's progress function, and what is being done. */
typedef struct qn_word {
    qn_work_fn fn;
    void *user;
    const char *what;
} qn_word;

/* A qn_tokenizer_progress_fn and a qn_token_progress_fn; user: a qn_word. */
bool qn__word_pass(void *user, int64_t done, int64_t total);

/* XXH3 of `what` and of the files as they stand: paths, sizes, inodes, times. 0: out of memory. */
uint64_t qn__data_key(const qn__dataset *dataset, const void *what, size_t bytes);

/* Saved with the run, made from the data ("char", "bpe:N": dataset must not be NULL; merges once
 * learned are kept in the cache), or loaded, as the options say. */
qn_status qn__data_tokenizer(const qn_train_options *options, const qn__dataset *dataset,
                             qn_word *word, qn_tokenizer **tokenizer) QN_MUST_USE;

/* Tokens of a dataset, from the cache if they are there. Documents begin with BOS where the
 * tokenizer wants it and end with its end-of-text token; a plain dataset has neither, and the part
 * `val_fraction` at its end becomes validation. *cached: they were there. */
qn_status qn__data_tokenize(const qn__dataset *dataset, const qn_tokenizer *tokenizer,
                            double val_fraction, qn_word *word, qn_token_file *file,
                            bool *cached) QN_MUST_USE;

#endif
