/* The ranks of this run behind graph/comm.h. */
#ifndef QN_CLUSTER_CLUSTER_H
#define QN_CLUSTER_CLUSTER_H

#include "graph/comm.h"

/* The communicator of this process: one rank, for now; its collectives are complete when they
 * return. */
qn_status qn__comm_create(qn_comm **comm);

#endif
