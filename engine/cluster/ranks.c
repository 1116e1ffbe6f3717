#include "cluster/ranks.h"

#include "base/check.h"
#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static qn_ranks *ranks_of(qn_comm *comm)
{
    return (qn_ranks *)comm;
}

/* ---- jobs ---- */

enum { TICKETS = 1 << 30 };

static void break_off(qn_ranks *r, qn_status status, const char *message)
{
    if (r->broken.status != QN_OK) return;
    r->broken.status = status;
    snprintf(r->broken.message, sizeof r->broken.message, "%s", message);
}

/* With the lock held, which is let go meanwhile. */
static void do_job(qn_ranks *r, qn_job *job)
{
    bool skip = r->broken.status != QN_OK;
    job->began = qn__seconds();
    pthread_mutex_unlock(&r->lock);
    qn_status status = skip ? QN_OK : job->run(r, job);
    pthread_mutex_lock(&r->lock);
    if (status != QN_OK) break_off(r, status, qn_last_error());
    job->ended = qn__seconds();
    const qn_comm_event event = {job->name, job->began, job->opened, job->ended,
                                 r->wire->sent_bytes - r->sent_bytes};
    r->sent_bytes = r->wire->sent_bytes;
    if (r->observer) r->observer(r->observer_user, &event);
    r->done++;
    pthread_cond_broadcast(&r->changed);
}

static void *work(void *user)
{
    qn_ranks *r = user;
    pthread_mutex_lock(&r->lock);
    while (!r->stopping) {
        if (r->done == r->posted) pthread_cond_wait(&r->changed, &r->lock);
        else do_job(r, &r->job[r->done % QN_JOBS]);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

static qn_status broken(const qn_ranks *r)
{
    return r->broken.status == QN_OK
               ? QN_OK
               : qn__fail((qn_status)r->broken.status, "%s", r->broken.message);
}

static qn_status post(qn_ranks *r, const qn_job *job, int *ticket)
{
    pthread_mutex_lock(&r->lock);
    while (r->posted - r->done == QN_JOBS) pthread_cond_wait(&r->changed, &r->lock);
    qn_job *place = &r->job[r->posted % QN_JOBS];
    *place = *job;
    place->began = place->opened = place->ended = 0;
    *ticket = (int)(r->posted++ % TICKETS);
    if (r->threaded) pthread_cond_broadcast(&r->changed);
    else do_job(r, place);
    qn_status status = broken(r);
    pthread_mutex_unlock(&r->lock);
    return status;
}

/* Is this job, of the last TICKETS / 2, done? */
static bool is_done(const qn_ranks *r, int ticket)
{
    uint64_t behind = (r->posted - (uint64_t)ticket) % TICKETS; /* posted since, and it */
    return r->posted - r->done < behind;
}

static qn_status wait_for(qn_comm *comm, int ticket, uint64_t from, uint64_t to)
{
    qn_ranks *r = ranks_of(comm);
    (void)from, (void)to;
    pthread_mutex_lock(&r->lock);
    while (!is_done(r, ticket)) pthread_cond_wait(&r->changed, &r->lock);
    qn_status status = broken(r);
    pthread_mutex_unlock(&r->lock);
    return status;
}

static qn_status progress(qn_comm *comm)
{
    (void)comm; /* there is a thread for it, or all is done already */
    return QN_OK;
}

/* ---- what the jobs do ---- */

static qn_status run_gather(qn_ranks *r, qn_job *job)
{
    return r->wire->gather(r->wire, job->mine, job->count, job->data);
}

static qn_status run_broadcast(qn_ranks *r, qn_job *job)
{
    return r->wire->broadcast(r->wire, job->data, job->count, job->root);
}

static qn_status run_sum(qn_ranks *r, qn_job *job)
{
    float *roots[QN_TREE_SPANS] = {NULL};
    QN_TRY(job->sum.open(job->sum.user, roots));
    job->opened = qn__seconds();
    qn_status status = qn__sum_leaves(r->wire, &job->sum, roots, &r->room);
    QN_TRY(job->sum.close(job->sum.user));
    return status;
}

/* Each rank to the one that is `step` after it, all at once. */
static qn_status pass_on(qn_wire *wire, const qn_comm_share *share, int step)
{
    int to = (wire->rank + step) % wire->size;
    int from = (wire->rank - step + wire->size) % wire->size;
    const qn_comm_part *mine = share->parts + share->first[wire->rank],
                       *theirs = share->parts + share->first[from];
    int have = share->first[wire->rank + 1] - share->first[wire->rank];
    int come = share->first[from + 1] - share->first[from];
    for (int i = 0; i < have || i < come; i++)
        QN_TRY(wire->exchange(wire, i < have ? mine[i].data : NULL, i < have ? mine[i].bytes : 0,
                              to, i < come ? theirs[i].data : NULL, i < come ? theirs[i].bytes : 0,
                              from));
    return QN_OK;
}

static qn_status run_share(qn_ranks *r, qn_job *job)
{
    qn_status status = QN_OK;
    QN_TRY(job->share.open(job->share.user));
    job->opened = qn__seconds();
    for (int step = 1; step < r->wire->size && status == QN_OK; step++)
        status = pass_on(r->wire, &job->share, step);
    QN_TRY(job->share.close(job->share.user));
    return status;
}

/* As the tree over ranks adds: a sum of one leaf each. */
static float reduce(const float *values, int count, size_t stride, qn_comm_op op)
{
    if (count == 1) return values[0];
    int left = (int)qn__tree_split(count);
    float a = reduce(values, left, stride, op),
          b = reduce(values + (size_t)left * stride, count - left, stride, op);
    if (op == QN_COMM_SUM) return a + b;
    return op == QN_COMM_MAX ? fmaxf(a, b) : fminf(a, b);
}

static qn_status run_reduce(qn_ranks *r, qn_job *job)
{
    enum { AT_ONCE = 1 << 16 };
    float *data = job->data;
    int size = r->wire->size;
    for (uint64_t at = 0; at < job->count; at += AT_ONCE) {
        uint64_t now = job->count - at < AT_ONCE ? job->count - at : AT_ONCE;
        uint64_t bytes = now * sizeof *data * (uint64_t)size;
        if (bytes > r->small_bytes) {
            free(r->small);
            r->small = malloc(bytes);
            r->small_bytes = r->small ? bytes : 0;
            if (!r->small) return qn__fail(QN_OS_ERROR, "out of memory");
        }
        QN_TRY(r->wire->gather(r->wire, data + at, now * sizeof *data, r->small));
        for (uint64_t i = 0; i < now; i++) data[at + i] = reduce(r->small + i, size, now, job->op);
    }
    return QN_OK;
}

/* mine: this rank's word; data: the worst one. */
static qn_status run_agree(qn_ranks *r, qn_job *job)
{
    int size = r->wire->size, worst = 0, codes[4096];
    const qn_word *mine = job->mine;
    qn_word *word = job->data;
    int *all = size <= 4096 ? codes : malloc((size_t)size * sizeof *all);
    if (!all) return qn__fail(QN_OS_ERROR, "out of memory");
    qn_status status = r->wire->gather(r->wire, &mine->status, sizeof *all, all);
    for (int i = 1; i < size; i++)
        if (all[i] > all[worst]) worst = i;
    *word = (qn_word){.status = all[worst]};
    if (all != codes) free(all);
    if (status != QN_OK || word->status == QN_OK) return status;
    if (r->wire->rank == worst) *word = *mine;
    QN_TRY(r->wire->broadcast(r->wire, word, sizeof *word, worst));
    word->message[sizeof word->message - 1] = 0;
    char text[sizeof word->message + 32];
    if (size > 1 && strncmp(word->message, "rank ", 5) != 0) {
        snprintf(text, sizeof text, "rank %d: %s", worst, word->message);
        memcpy(word->message, text, sizeof word->message - 1);
    }
    return QN_OK;
}

/* ---- the interface ---- */

static qn_status all_reduce(qn_comm *comm, qn_comm_op op, float *data, uint64_t count, int *ticket)
{
    const qn_job job = {
        .name = "all_reduce", .run = run_reduce, .op = op, .data = data, .count = count};
    return post(ranks_of(comm), &job, ticket);
}

static qn_status sum_leaves(qn_comm *comm, const qn_comm_sum *sum, int *ticket)
{
    const qn_job job = {.name = "sum_leaves", .run = run_sum, .sum = *sum, .count = sum->count};
    return post(ranks_of(comm), &job, ticket);
}

static qn_status share_parts(qn_comm *comm, const qn_comm_share *share, int *ticket)
{
    const qn_job job = {.name = "share", .run = run_share, .share = *share};
    return post(ranks_of(comm), &job, ticket);
}

static qn_status all_gather(qn_comm *comm, const void *mine, uint64_t bytes, void *all, int *ticket)
{
    const qn_job job = {
        .name = "all_gather", .run = run_gather, .mine = mine, .data = all, .count = bytes};
    return post(ranks_of(comm), &job, ticket);
}

static qn_status broadcast(qn_comm *comm, void *data, uint64_t bytes, int root, int *ticket)
{
    const qn_job job = {
        .name = "broadcast", .run = run_broadcast, .data = data, .count = bytes, .root = root};
    QN_CHECK(root >= 0 && root < comm->size, "rank %d does not exist among %d", root, comm->size);
    return post(ranks_of(comm), &job, ticket);
}

static qn_status agree(qn_comm *comm, qn_status mine)
{
    qn_ranks *r = ranks_of(comm);
    qn_word word = {.status = (int)mine}, worst = {0};
    int ticket;
    if (mine != QN_OK) snprintf(word.message, sizeof word.message, "%s", qn_last_error());
    const qn_job job = {.name = "agree", .run = run_agree, .mine = &word, .data = &worst};
    qn_status status = post(r, &job, &ticket);
    if (status == QN_OK) status = wait_for(comm, ticket, 0, 0);
    if (status != QN_OK) /* there is nobody to agree with: what went wrong here says more */
        return mine == QN_OK ? status : qn__fail(mine, "%s", word.message);
    r->agreed = (qn_status)worst.status;
    return worst.status == QN_OK ? QN_OK : qn__fail((qn_status)worst.status, "%s", worst.message);
}

static uint64_t sent(qn_comm *comm)
{
    qn_ranks *r = ranks_of(comm);
    pthread_mutex_lock(&r->lock);
    uint64_t bytes = r->sent_bytes;
    pthread_mutex_unlock(&r->lock);
    return bytes;
}

static void observe(qn_comm *comm, void (*fn)(void *user, const qn_comm_event *event), void *user)
{
    qn_ranks *r = ranks_of(comm);
    pthread_mutex_lock(&r->lock);
    r->observer = fn;
    r->observer_user = user;
    pthread_mutex_unlock(&r->lock);
}

static void give_up(qn_comm *comm)
{
    qn_ranks *r = ranks_of(comm);
    pthread_mutex_lock(&r->lock);
    break_off(r, QN_COMM_ERROR, qn_last_error());
    pthread_mutex_unlock(&r->lock);
}

static void let_go(qn_comm **comm)
{
    *comm = NULL; /* the ranks stay joined */
}

qn_status qn__ranks_create(qn_wire *wire, qn_ranks **ranks)
{
    *ranks = NULL;
    qn_ranks *r = calloc(1, sizeof *r);
    if (!r) return qn__fail(QN_OS_ERROR, "out of memory");
    r->wire = wire;
    r->comm = (qn_comm){.rank = wire->rank,
                        .size = wire->size,
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
                        .destroy = let_go};
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    r->threaded = wire->threads && pthread_create(&r->thread, NULL, work, r) == 0;
    *ranks = r;
    return QN_OK;
}

bool qn__ranks_destroy(qn_ranks **ranks)
{
    qn_ranks *r = *ranks;
    if (!r) return true;
    if (r->broken.status != QN_OK) return false;
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    if (r->threaded) pthread_join(r->thread, NULL);
    r->wire->stop(r->wire);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r->room.data);
    free(r->small);
    free(r);
    *ranks = NULL;
    return true;
}
