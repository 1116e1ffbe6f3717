/* How graphs talk to other ranks, without knowing MPI: the caller injects an implementation
 * (engine/cluster). Collective: every rank of the group calls, in the same order. Buffers are host
 * memory. */
#ifndef QN_GRAPH_COMM_H
#define QN_GRAPH_COMM_H

#include <quernel/status.h>
#include <stdint.h>

typedef struct qn_comm qn_comm;

typedef enum qn_comm_op { QN_COMM_SUM, QN_COMM_MAX, QN_COMM_MIN } qn_comm_op;

struct qn_comm {
    int rank, size;
    /* Start a reduction of `count` floats, result everywhere; *ticket is waited for. Collective. */
    qn_status (*all_reduce)(qn_comm *comm, qn_comm_op op, float *data, uint64_t count, int *ticket);
    /* Every rank's `count` floats, by rank. Collective. */
    qn_status (*all_gather)(qn_comm *comm, const float *mine, uint64_t count, float *all,
                            int *ticket);
    qn_status (*broadcast)(qn_comm *comm, void *data, uint64_t bytes, int root, int *ticket);
    /* Let started operations advance; not collective. */
    qn_status (*progress)(qn_comm *comm);
    /* Until bytes [from, to) of the result may be read; not collective. */
    qn_status (*wait)(qn_comm *comm, int ticket, uint64_t from, uint64_t to);
    /* The worst status of all ranks, once a step: one rank's failure stops all. Collective. */
    qn_status (*agree)(qn_comm *comm, qn_status mine);
    void (*destroy)(qn_comm **comm);
};

#endif
