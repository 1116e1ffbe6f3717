/* Sums over leaves that lie on several ranks, in the order of base/sum_tree.h. */
#ifndef QN_CLUSTER_SUM_H
#define QN_CLUSTER_SUM_H

#include "base/sum_tree.h"
#include "cluster/wire.h"
#include "graph/comm.h"

/* Scratch of a communicator; grows, and is kept. */
typedef struct qn_sum_room {
    float *data;
    uint64_t floats;
} qn_sum_room;

/* The result is in roots[0] of every rank. Collective. */
qn_status qn__sum_leaves(qn_wire *wire, const qn_comm_sum *sum, float *const *roots,
                         qn_sum_room *room);
/* Bytes that rank `rank` sends for it. */
uint64_t qn__sum_bytes(const qn_comm_sum *sum, int rank, int size);

#endif
