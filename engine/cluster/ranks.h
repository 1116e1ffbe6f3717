/* The communicator over a wire: collectives are jobs that one thread does in the order in which
 * they were posted, so that whoever posts may compute meanwhile. */
#ifndef QN_CLUSTER_RANKS_H
#define QN_CLUSTER_RANKS_H

#include "cluster/cluster.h"
#include "cluster/sum.h"

#include <pthread.h>

enum { QN_JOBS = 256, QN_JOBS_REMEMBERED = 16 };

typedef struct qn_ranks qn_ranks;
typedef struct qn_job qn_job;

struct qn_job {
    const char *name; /* "sum_leaves" */
    qn_status (*run)(qn_ranks *ranks, qn_job *job);
    qn_comm_op op;
    void *data; /* in place, or where the result comes */
    const void *mine;
    uint64_t count; /* floats, or bytes of each rank */
    int root;
    qn_comm_sum sum;
    qn_comm_share share;
    double began, opened, ended; /* qn__seconds; 0: not yet. opened: see qn_comm_event */
};

/* What a rank tells the others of its status. */
typedef struct qn_word {
    int status;
    char message[508];
} qn_word;

struct qn_ranks {
    qn_comm comm; /* first */
    qn_wire *wire;
    bool threaded; /* a thread does the jobs; else whoever posts */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    qn_job job[QN_JOBS];   /* number n in place n % QN_JOBS */
    uint64_t posted, done; /* jobs, from the start */
    uint64_t sent_bytes;   /* by the jobs that are done */
    void (*observer)(void *user, const qn_comm_event *event);
    void *observer_user;
    bool stopping;
    qn_word broken; /* status not QN_OK: no job is done any more */
    qn_status agreed;
    qn_sum_room room;
    float *small; /* of small reductions: every rank's */
    uint64_t small_bytes;
};

/* Takes the wire. */
qn_status qn__ranks_create(qn_wire *wire, qn_ranks **ranks) QN_MUST_USE;
/* Collective unless the ranks are broken, who then must not be waited for: false, and the wire is
 * left as it is. */
bool qn__ranks_destroy(qn_ranks **ranks);

#endif
