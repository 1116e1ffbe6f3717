/* The gradients of a step, added over all ranks while the last leaf's backward pass goes on.
 *
 * They are cut into buckets, runs of neighbours in the store, in the order in which the backward
 * pass makes them: the last layer first. A bucket is handed to the thread that communicates as soon
 * as the launches that write it are enqueued, with a mark that says when they are done. */
#ifndef QN_TRAIN_REDUCE_H
#define QN_TRAIN_REDUCE_H

#include "graph/comm.h"
#include "train/training.h"

typedef struct qn_reduce qn_reduce;

/* After the training's memory is there. The same buckets on every rank, whose stores must be cut
 * into arenas alike. */
qn_status qn__reduce_create(qn_training *training, qn_comm *comm, qn_reduce **reduce) QN_MUST_USE;
void qn__reduce_destroy(qn_reduce **reduce);
/* Before the first leaf of a step. */
void qn__reduce_begin(qn_reduce *reduce);
/* Run the plan of the last leaf; whole: it leaves its gradients as they are to be added, so that
 * buckets may be on their way before it ends. */
qn_status qn__reduce_leaf(qn_reduce *reduce, qn_plan *plan, bool whole) QN_MUST_USE;
/* All that is left. The sums are then in copy 0 of every rank. Collective. */
qn_status qn__reduce_finish(qn_reduce *reduce) QN_MUST_USE;
/* Bytes that a rank sends in each step; a plan is enough. */
qn_status qn__reduce_traffic(qn_training *training, int rank, uint64_t *bytes) QN_MUST_USE;

#endif
