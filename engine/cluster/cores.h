/* Which of a machine's cores each of its ranks computes with. */
#ifndef QN_CLUSTER_CORES_H
#define QN_CLUSTER_CORES_H

#include <sched.h>
#include <stdbool.h>

/* A launcher that was not told how to bind ranks may have bound each to one core or socket, or to
 * the same: let this process use all that it may. */
void qn__cores_release(void);
/* masks: what each of `count` ranks of this machine may use. Ranks that have cores of their own
 * keep them; else the cores of all are shared out in runs, those of one package together. *twice:
 * there are fewer cores than ranks, so that some have the same. */
cpu_set_t qn__cores_share(const cpu_set_t *masks, int count, int rank, bool *twice);

#endif
