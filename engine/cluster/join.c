/* The ranks of this process: joined once, shared by all that speak to them. */
#include "base/check.h"
#include "cluster/cores.h"
#include "cluster/ranks.h"
#include "cluster/watch.h"

#include <stdio.h>
#include <stdlib.h>

static struct {
    qn_ranks *ranks; /* NULL: this process is alone */
    qn_watch *watch;
    int local_rank, local_size;
    char text[160];
} here = {.local_size = 1, .text = "one rank"};

/* What a rank says of its place. */
typedef struct place {
    int node;
    cpu_set_t cores;
} place;

static qn_status share_cores(const qn_wire *wire, const place *all)
{
    bool twice;
    int found = 0, nodes = 0;
    cpu_set_t *masks = malloc((size_t)wire->local_size * sizeof *masks);
    if (!masks) return qn__fail(QN_OS_ERROR, "out of memory");
    for (int r = 0; r < wire->size; r++) {
        if (all[r].node == r) nodes++;
        if (all[r].node == wire->node && found < wire->local_size) masks[found++] = all[r].cores;
    }
    cpu_set_t mine = qn__cores_share(masks, found, wire->local_rank, &twice);
    free(masks);
    if (sched_setaffinity(0, sizeof mine, &mine) != 0)
        return qn__fail(QN_OS_ERROR, "rank %d cannot be bound to its cores", wire->rank);
    snprintf(
        here.text, sizeof here.text, "%d ranks on %d machine%s; each with %d core%s%s of its CPU%s",
        wire->size, nodes, nodes == 1 ? "" : "s", CPU_COUNT(&mine),
        CPU_COUNT(&mine) == 1 ? "" : "s", twice ? ", shared with others," : "",
        wire->threads ? "" : "; MPI allows no thread to communicate, so nothing overlaps with it");
    return QN_OK;
}

static qn_status settle(qn_wire *wire)
{
    place mine = {.node = wire->node}, *all = calloc((size_t)wire->size, sizeof *all);
    if (!all) return qn__fail(QN_OS_ERROR, "out of memory");
    qn__cores_release();
    CPU_ZERO(&mine.cores);
    (void)!sched_getaffinity(0, sizeof mine.cores, &mine.cores);
    qn_status status = wire->gather(wire, &mine, sizeof mine, all);
    if (status == QN_OK) status = share_cores(wire, all);
    free(all);
    here.local_rank = wire->local_rank;
    here.local_size = wire->local_size;
    return status;
}

qn_status qn_cluster_join(const qn_cluster_options *options)
{
    qn_wire *wire;
    QN_CHECK(options->size == sizeof *options,
             "qn_cluster_options.size is %u, this library's is %zu", options->size,
             sizeof *options);
    QN_CHECK(!here.ranks, "the ranks are joined already");
    QN_TRY(qn__wire_mpi(&wire));
    if (!wire) return QN_OK;
    QN_TRY(settle(wire)); /* before threads are started, which inherit the cores */
    QN_TRY(qn__ranks_create(wire, &here.ranks));
    return qn__watch_start(here.ranks, options, &here.watch);
}

int qn_cluster_rank(void)
{
    return here.ranks ? here.ranks->comm.rank : 0;
}

int qn_cluster_size(void)
{
    return here.ranks ? here.ranks->comm.size : 1;
}

int qn_cluster_local_rank(void)
{
    return here.local_rank;
}

int qn_cluster_local_size(void)
{
    return here.local_size;
}

const char *qn_cluster_text(void)
{
    return here.text;
}

qn_status qn_cluster_agree(qn_status mine)
{
    return here.ranks ? here.ranks->comm.agree(&here.ranks->comm, mine) : mine;
}

bool qn_cluster_agreed(qn_status status)
{
    return !here.ranks || (here.ranks->broken.status == QN_OK && here.ranks->agreed == status);
}

bool qn_cluster_leave(qn_status status)
{
    if (!here.ranks) return true;
    qn__watch_stop(&here.watch);
    bool together =
        (status == QN_OK || qn_cluster_agreed(status)) && qn__ranks_destroy(&here.ranks);
    here.local_rank = 0;
    here.local_size = 1;
    return together;
}

qn_status qn__comm_create(qn_comm **comm)
{
    *comm = here.ranks ? &here.ranks->comm : NULL;
    return *comm ? QN_OK : qn__comm_one(comm);
}
