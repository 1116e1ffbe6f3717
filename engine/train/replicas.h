/* Ranks with copies of the model must have the same weights, to the bit: --check-replicas. */
#ifndef QN_TRAIN_REPLICAS_H
#define QN_TRAIN_REPLICAS_H

#include "train/training.h"

/* Hashes of `tensors` weights of each of `ranks` ranks, rank by rank: the first rank whose hash of
 * some weight is not the one that most ranks have (of as many, the lowest rank's), and that weight;
 * -1 where all agree. */
int qn__replicas_odd(const uint64_t *hashes, int ranks, int tensors, int *tensor);

/* After step `step`: QN_COMM_ERROR on every rank when one differs, with its number and the first
 * weight. Collective. */
qn_status qn__replicas_check(const qn_training *training, qn_comm *comm, int64_t step) QN_MUST_USE;

#endif
