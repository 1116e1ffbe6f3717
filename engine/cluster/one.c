/* One process: every collective is the identity and is complete at once. */
#include "base/check.h"
#include "cluster/cluster.h"

#include <stdlib.h>
#include <string.h>

static qn_status all_reduce(qn_comm *comm, qn_comm_op op, float *data, uint64_t count, int *ticket)
{
    (void)comm, (void)op, (void)data, (void)count;
    *ticket = 0;
    return QN_OK;
}

static qn_status sum_leaves(qn_comm *comm, const qn_comm_sum *sum, int *ticket)
{
    (void)comm, (void)sum; /* all leaves are here, and added */
    *ticket = 0;
    return QN_OK;
}

static qn_status share_parts(qn_comm *comm, const qn_comm_share *share, int *ticket)
{
    (void)comm, (void)share;
    *ticket = 0;
    return QN_OK;
}

static qn_status all_gather(qn_comm *comm, const void *mine, uint64_t bytes, void *all, int *ticket)
{
    (void)comm;
    if (all != mine) memcpy(all, mine, bytes);
    *ticket = 0;
    return QN_OK;
}

static qn_status broadcast(qn_comm *comm, void *data, uint64_t bytes, int root, int *ticket)
{
    (void)data, (void)bytes;
    QN_CHECK(root >= 0 && root < comm->size, "rank %d does not exist among %d", root, comm->size);
    *ticket = 0;
    return QN_OK;
}

static qn_status progress(qn_comm *comm)
{
    (void)comm;
    return QN_OK;
}

static qn_status wait_for(qn_comm *comm, int ticket, uint64_t from, uint64_t to)
{
    (void)comm, (void)ticket, (void)from, (void)to;
    return QN_OK;
}

static qn_status agree(qn_comm *comm, qn_status mine)
{
    (void)comm;
    return mine;
}

static uint64_t sent(qn_comm *comm)
{
    (void)comm;
    return 0;
}

static void observe(qn_comm *comm, void (*fn)(void *user, const qn_comm_event *event), void *user)
{
    (void)comm, (void)fn, (void)user;
}

static void give_up(qn_comm *comm)
{
    (void)comm;
}

static void destroy(qn_comm **comm)
{
    free(*comm);
    *comm = NULL;
}

qn_status qn__comm_one(qn_comm **comm)
{
    *comm = malloc(sizeof **comm);
    if (!*comm) return qn__fail(QN_OS_ERROR, "out of memory");
    **comm = (qn_comm){.rank = 0,
                       .size = 1,
                       .all_reduce = all_reduce,
                       .sum_leaves = sum_leaves,
                       .share = share_parts,
                       .all_gather = all_gather,
                       .broadcast = broadcast,
                       .progress = progress,
                       .wait = wait_for,
                       .agree = agree,
                       .sent = sent,
                       .observe = observe,
                       .give_up = give_up,
                       .destroy = destroy};
    return QN_OK;
}
