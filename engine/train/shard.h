/* What ranks of dp share out (--zero 1): AdamW's moments. All trained elements in the order of
 * their tensors are cut into one run for each rank, which has the moments of its run, updates it,
 * and gives the new weights to the others. */
#ifndef QN_TRAIN_SHARD_H
#define QN_TRAIN_SHARD_H

#include "train/training.h"

typedef struct qn_shard qn_shard;

/* Of the number-th trained tensor, of so many elements, those of a rank: [*from, *to), perhaps
 * none. Without sharing: all. */
void qn__shard_range(const qn_training *training, int number, int rank, int64_t *from, int64_t *to);
/* Know where tensors begin; before anything is declared. */
qn_status qn__shard_declare(qn_training *training) QN_MUST_USE;
/* After the training's memory is there. */
qn_status qn__shard_create(qn_training *training, qn_shard **shard) QN_MUST_USE;
void qn__shard_destroy(qn_shard **shard);
/* After an update: every rank's weights to all. Collective. */
qn_status qn__shard_spread(qn_shard *shard) QN_MUST_USE;
/* Bytes that a rank sends for it; a plan is enough. */
uint64_t qn__shard_traffic(const qn_training *training, int rank);
/* A moment ("m.NAME") of the number-th trained tensor, whole, on every rank. Collective. */
qn_status qn__shard_read(qn_shard *shard, const char *name, int number, void *whole) QN_MUST_USE;
/* This rank's part of it. Not collective. */
qn_status qn__shard_write(qn_shard *shard, const char *name, int number,
                          const void *whole) QN_MUST_USE;

#endif
