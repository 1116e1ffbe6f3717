/* Bytes between ranks, by whatever carries them: MPI, or threads in tests. Calls return when they
 * are through, and come from one thread at a time. */
#ifndef QN_CLUSTER_WIRE_H
#define QN_CLUSTER_WIRE_H

#include <quernel/status.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct qn_wire qn_wire;

struct qn_wire {
    int rank, size;
    int local_rank, local_size; /* among the ranks of this machine */
    int node;                   /* rank of the machine's first */
    bool threads;               /* may a thread that did not start it communicate? */
    uint64_t sent_bytes;        /* by exchanges */
    /* Send to one rank and receive from another at once; 0 bytes: not. */
    qn_status (*exchange)(qn_wire *wire, const void *send, uint64_t send_bytes, int to,
                          void *receive, uint64_t receive_bytes, int from);
    /* Every rank's bytes, by rank; small. Collective. */
    qn_status (*gather)(qn_wire *wire, const void *mine, uint64_t bytes, void *all);
    qn_status (*broadcast)(qn_wire *wire, void *data, uint64_t bytes, int root);
    /* Collective; frees the wire. */
    void (*stop)(qn_wire *wire);
};

/* *wire is NULL when no launcher started this process. QN_UNSUPPORTED: one did, but MPI was not
 * built in. */
qn_status qn__wire_mpi(qn_wire **wire);

#endif
