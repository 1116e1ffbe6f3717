/* How graphs talk to other ranks, without knowing MPI: the caller injects an implementation
 * (engine/cluster). Collective: every rank of the group calls, in the same order. Buffers are host
 * memory. */
#ifndef QN_GRAPH_COMM_H
#define QN_GRAPH_COMM_H

#include <quernel/status.h>
#include <stdint.h>

typedef struct qn_comm qn_comm;

typedef enum qn_comm_op { QN_COMM_SUM, QN_COMM_MAX, QN_COMM_MIN } qn_comm_op;

/* A sum of `count` floats over the leaves of base/sum_tree.h, which lie on all ranks: the same bits
 * however they are spread. Each rank has the sums of the largest nodes that its leaves make up. */
typedef struct qn_comm_sum {
    uint64_t count;
    const int64_t *first; /* [size + 1]: rank r has leaves [first[r], first[r + 1]), at least one */
    /* By the thread that communicates, in order: wait until this rank's sums are there and say
     * where they are, those of earlier leaves first. The result comes into roots[0]; the others
     * are used up. Then they are let go. */
    qn_status (*open)(void *user, float **roots);
    qn_status (*close)(void *user);
    void *user;
} qn_comm_sum;

/* Bytes that one rank has and all are to have. */
typedef struct qn_comm_part {
    void *data; /* by open */
    uint64_t bytes;
} qn_comm_part;

typedef struct qn_comm_share {
    const int *first; /* [size + 1]: rank r has parts[first[r]] up to parts[first[r + 1]] */
    qn_comm_part *parts;
    /* By the thread that communicates: as those of a sum. */
    qn_status (*open)(void *user);
    qn_status (*close)(void *user);
    void *user;
} qn_comm_share;

/* A collective that is through; times as qn__seconds. */
typedef struct qn_comm_event {
    const char *name;
    double began, opened, ended; /* opened: its data were there; 0: it waited for none */
    uint64_t bytes;
} qn_comm_event;

struct qn_comm {
    int rank, size;
    /* Start a reduction of `count` floats, result everywhere; *ticket is waited for. Collective. */
    qn_status (*all_reduce)(qn_comm *comm, qn_comm_op op, float *data, uint64_t count, int *ticket);
    /* The same over leaves; *sum is copied, what it points to must stay. Collective. */
    qn_status (*sum_leaves)(qn_comm *comm, const qn_comm_sum *sum, int *ticket);
    /* Every rank's parts to all; *share is copied, what it points to must stay. Collective. */
    qn_status (*share)(qn_comm *comm, const qn_comm_share *share, int *ticket);
    /* Every rank's `bytes` bytes, by rank. Collective. */
    qn_status (*all_gather)(qn_comm *comm, const void *mine, uint64_t bytes, void *all,
                            int *ticket);
    qn_status (*broadcast)(qn_comm *comm, void *data, uint64_t bytes, int root, int *ticket);
    /* Let started operations advance; not collective. */
    qn_status (*progress)(qn_comm *comm);
    /* Until bytes [from, to) of the result may be read; not collective. */
    qn_status (*wait)(qn_comm *comm, int ticket, uint64_t from, uint64_t to);
    /* The worst status of all ranks, once a step: one rank's failure stops all. Its message says
     * which rank. Collective. */
    qn_status (*agree)(qn_comm *comm, qn_status mine);
    /* Bytes of sums over leaves and of shares that this rank sent so far. Not collective. */
    uint64_t (*sent)(qn_comm *comm);
    /* Be told of each, by the thread that communicates; NULL: no more. */
    void (*observe)(qn_comm *comm, void (*fn)(void *user, const qn_comm_event *event), void *user);
    /* This rank failed where the others go on, and can take part in nothing any more: its calls
     * fail from now on, so that it hangs nowhere; the launcher ends the others. Not collective. */
    void (*give_up)(qn_comm *comm);
    void (*destroy)(qn_comm **comm);
};

#endif
