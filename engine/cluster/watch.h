/* Notices that a rank hangs: a collective that is not through in time. */
#ifndef QN_CLUSTER_WATCH_H
#define QN_CLUSTER_WATCH_H

#include "cluster/ranks.h"

typedef struct qn_watch qn_watch;

/* The thread that calls is the one whose stack is shown. */
qn_status qn__watch_start(qn_ranks *ranks, const qn_cluster_options *options,
                          qn_watch **watch) QN_MUST_USE;
void qn__watch_stop(qn_watch **watch);

#endif
