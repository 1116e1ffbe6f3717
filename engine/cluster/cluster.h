/* The ranks of this run behind graph/comm.h. */
#ifndef QN_CLUSTER_CLUSTER_H
#define QN_CLUSTER_CLUSTER_H

#include "graph/comm.h"

#include <quernel/cluster.h>

/* The communicator of the ranks that were joined; one rank where none were. */
qn_status qn__comm_create(qn_comm **comm);
/* One rank; its collectives are complete when they return. */
qn_status qn__comm_one(qn_comm **comm);

#endif
