/* Several processes (ranks) that work on one run, started by a launcher: `mpirun`, `srun`. */
#ifndef QUERNEL_CLUSTER_H
#define QUERNEL_CLUSTER_H

#include <quernel/status.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct qn_cluster_options {
    uint32_t size; /* sizeof(qn_cluster_options) */
    /* A collective that is not through after so long means that a rank hangs; 0: wait for ever. */
    double watchdog_seconds;
    /* Then: called once, by a thread of its own, after the log has the stack and the last
     * collectives. It should end the process; it may not wait for other ranks. */
    void (*on_hang)(void *user);
    void *user;
} qn_cluster_options;

/* Join the ranks that the launcher started, and share the CPU's cores among those of this machine.
 * Once a process, before anything of OpenCL is used. Without a launcher, or built without MPI:
 * QN_OK, one rank. Collective. */
QN_API qn_status qn_cluster_join(const qn_cluster_options *options) QN_MUST_USE;
/* Among all ranks, and among those of this machine; 0 of 1 when none was joined. */
QN_API int qn_cluster_rank(void);
QN_API int qn_cluster_size(void);
QN_API int qn_cluster_local_rank(void);
QN_API int qn_cluster_local_size(void);
/* One line for people: ranks, machines, cores, whether communication overlaps with computing. */
QN_API const char *qn_cluster_text(void);
/* The worst status of all ranks; its message says which rank. Collective. */
QN_API qn_status qn_cluster_agree(qn_status mine) QN_MUST_USE;
/* Was `status` agreed upon by all ranks, so that one of them may speak for all? */
QN_API bool qn_cluster_agreed(qn_status status);
/* The last call about ranks, with what this rank's work ended with. false: the others do not know
 * of this failure; the process should end now, with an exit code other than 0, and the launcher
 * ends them. Collective where `status` was agreed upon. */
QN_API bool qn_cluster_leave(qn_status status);

#endif
