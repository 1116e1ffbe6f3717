#include "train/reduce.h"

#include "base/check.h"
#include "base/clock.h"
#include "cluster/sum.h"
#include "graph/plan.h"
#include "train/leaves.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Large enough that latency does not count, small enough that many are under way in turn. */
static const uint64_t bucket_bytes = 16 << 20;

typedef struct bucket {
    qn_reduce *reduce;
    int group, arena;
    uint64_t offset, bytes;
    bool vectors;
    qn_transfer mark;
    void *mapped[QN_TREE_SPANS]; /* of each root, while it is added */
} bucket;

struct qn_reduce {
    qn_training *training;
    qn_comm *comm;
    int roots; /* sums that this rank's leaves leave, in copies 0.. */
    bucket *buckets;
    int count, capacity;
    int posted;
    double device_at;    /* traced: when the device had made the last bucket's gradients */
    int ticket;          /* of the last one */
    qn_host *staged;     /* where memory is not unified: a bucket of every root */
    const qn_plan *plan; /* whose steps `ready` knows */
    int *ready;          /* by bucket: its last step that writes it */
};

/* ---- making buckets ---- */

static qn_status add_bucket(qn_reduce *r, const bucket *b)
{
    if (r->count == r->capacity) {
        int capacity = r->capacity ? 2 * r->capacity : 64;
        bucket *more = realloc(r->buckets, (size_t)capacity * sizeof *more);
        if (!more) return qn__fail(QN_OS_ERROR, "out of memory");
        r->buckets = more;
        r->capacity = capacity;
    }
    r->buckets[r->count++] = *b;
    return QN_OK;
}

/* Bytes of a tensor with the gap that follows it. */
static uint64_t room_of(const qn_store_tensor *tensor)
{
    uint64_t bytes = qn__desc_bytes(&tensor->desc);
    return ((bytes ? bytes : 1) + QN_ALIGN - 1) / QN_ALIGN * QN_ALIGN;
}

/* Goes on with the last bucket where the tensor lies just before it. */
static qn_status add_tensor(qn_reduce *r, const qn_store_tensor *tensor, bool vectors)
{
    bucket *last = r->count ? &r->buckets[r->count - 1] : NULL;
    uint64_t bytes = room_of(tensor);
    if (last && last->group == tensor->group && last->arena == tensor->arena &&
        last->offset == tensor->offset + bytes && last->bytes + bytes <= bucket_bytes) {
        last->offset = tensor->offset;
        last->bytes += bytes;
        return QN_OK;
    }
    for (uint64_t left = bytes; left > 0;) {
        uint64_t now = left < bucket_bytes ? left : bucket_bytes;
        left -= now;
        const bucket b = {.reduce = r,
                          .group = tensor->group,
                          .arena = tensor->arena,
                          .offset = tensor->offset + left,
                          .bytes = now,
                          .vectors = vectors};
        QN_TRY(add_bucket(r, &b));
    }
    return QN_OK;
}

/* The head's use of a tied table comes first in the backward pass, its rows looked up last. */
static qn_status add_group(qn_reduce *r, const char *group, bool again)
{
    const qn_store *store = r->training->store;
    for (int i = store->tensor_count - 1; i >= 0; i--) {
        const qn_store_tensor *tensor = &store->tensors[i];
        if (strcmp(store->groups[tensor->group].name, group) != 0) continue;
        if ((strncmp(tensor->name, "grad2.", 6) == 0) != again) continue;
        QN_TRY(add_tensor(r, tensor, strcmp(group, QN_GRAD) != 0));
    }
    return QN_OK;
}

static qn_status make_buckets(qn_reduce *r)
{
    QN_TRY(add_group(r, QN_GRAD, true));
    QN_TRY(add_group(r, QN_GRAD, false));
    QN_TRY(add_group(r, QN_GRAD_VECTORS, false));
    r->ready = calloc((size_t)r->count + 1, sizeof *r->ready);
    return r->ready ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
}

qn_status qn__reduce_create(qn_training *t, qn_comm *comm, qn_reduce **reduce)
{
    *reduce = NULL;
    qn_reduce *r = calloc(1, sizeof *r);
    if (!r) return qn__fail(QN_OS_ERROR, "out of memory");
    r->training = t;
    r->comm = comm;
    r->roots = t->chain
                   ? 1
                   : qn__tree_cover(t->all_leaves, t->first[t->rank], t->first[t->rank + 1], NULL);
    qn_status status = make_buckets(r);
    if (status == QN_OK) status = qn__marks_prepare(t->store->device);
    if (status == QN_OK && !t->store->caps.unified_memory)
        status = qn__host_create(t->store->device, bucket_bytes * (uint64_t)r->roots, &r->staged);
    if (status != QN_OK) qn__reduce_destroy(&r);
    *reduce = r;
    return status;
}

void qn__reduce_destroy(qn_reduce **reduce)
{
    qn_reduce *r = *reduce;
    if (!r) return;
    for (int i = 0; i < r->count; i++) qn__transfer_forget(&r->buckets[i].mark);
    qn__host_destroy(&r->staged);
    free(r->buckets);
    free(r->ready);
    free(r);
    *reduce = NULL;
}

qn_status qn__reduce_traffic(qn_training *t, int rank, uint64_t *bytes)
{
    qn_reduce r = {.training = t};
    qn_status status = make_buckets(&r);
    *bytes = 0;
    for (int i = 0; i < r.count && status == QN_OK; i++) {
        const qn_comm_sum sum = {.count = r.buckets[i].bytes / sizeof(float), .first = t->first};
        *bytes += qn__sum_bytes(&sum, rank, t->ranks);
    }
    free(r.buckets);
    free(r.ready);
    return status;
}

/* ---- by the thread that communicates ---- */

static qn_buffer *buffer_of(const bucket *b, int copy)
{
    const qn_store *store = b->reduce->training->store;
    return store->groups[b->group].arenas[copy].buffer[b->arena];
}

static qn_status open_bucket(void *user, float **roots)
{
    bucket *b = user;
    qn_reduce *r = b->reduce;
    for (int i = 0; i < r->roots; i++) {
        if (r->staged) {
            roots[i] = (float *)qn__host_data(r->staged) + bucket_bytes / 4 * (uint64_t)i;
            QN_TRY(qn__buffer_fetch(buffer_of(b, i), b->offset, roots[i], b->bytes, &b->mark));
        } else {
            QN_TRY(qn__buffer_map(buffer_of(b, i), b->offset, b->bytes, &b->mark, &b->mapped[i]));
            roots[i] = b->mapped[i];
        }
    }
    return QN_OK;
}

static qn_status close_bucket(void *user)
{
    bucket *b = user;
    qn_reduce *r = b->reduce;
    if (r->staged)
        return qn__transfer_in(buffer_of(b, 0), b->offset, qn__host_data(r->staged), b->bytes,
                               &b->mark);
    for (int i = 0; i < r->roots; i++) QN_TRY(qn__buffer_unmap(buffer_of(b, i), b->mapped[i]));
    return QN_OK;
}

/* ---- by the thread that launches ---- */

/* For the timeline, by a thread of the driver, bucket after bucket. */
static void note_made(void *user)
{
    const bucket *b = user;
    qn_reduce *r = b->reduce;
    char name[36];
    double now = qn__seconds();
    snprintf(name, sizeof name, "until gradients %d of %d", (int)(b - r->buckets) + 1, r->count);
    qn__trace_add(r->training->trace, QN_TRACK_DEVICE, name, r->device_at, now, 0);
    r->device_at = now;
}

static qn_status post_next(qn_reduce *r)
{
    bucket *b = &r->buckets[r->posted];
    qn_device *device = r->training->store->device;
    QN_TRY(qn__mark(device, &b->mark));
    if (r->training->trace) QN_TRY(qn__mark_notify(device, &b->mark, note_made, b));
    const qn_comm_sum sum = {.count = b->bytes / sizeof(float),
                             .first = r->training->first,
                             .open = open_bucket,
                             .close = close_bucket,
                             .user = b};
    QN_TRY(r->comm->sum_leaves(r->comm, &sum, &r->ticket));
    r->posted++;
    return QN_OK;
}

typedef struct search {
    qn_reduce *reduce;
    const qn_plan *plan;
    int step;
} search;

static void note_write(void *user, int id, bool write)
{
    const search *s = user;
    int index = s->plan->graph->tensors[id]->store;
    if (!write || index < 0) return;
    const qn_store_tensor *tensor = &s->plan->store->tensors[index];
    for (int i = 0; i < s->reduce->count; i++) {
        const bucket *b = &s->reduce->buckets[i];
        if (b->group == tensor->group && b->arena == tensor->arena &&
            b->offset < tensor->offset + room_of(tensor) && tensor->offset < b->offset + b->bytes)
            s->reduce->ready[i] = s->step;
    }
}

static void know_plan(qn_reduce *r, const qn_plan *plan)
{
    if (r->plan == plan) return;
    for (int step = 0; step < plan->step_count; step++) {
        search s = {r, plan, step};
        qn__node_each(&plan->steps[step].node, note_write, &s);
    }
    r->plan = plan;
}

static qn_status after_step(void *user, int step)
{
    qn_reduce *r = user;
    while (r->posted < r->count && !r->buckets[r->posted].vectors && r->ready[r->posted] <= step)
        QN_TRY(post_next(r));
    return QN_OK;
}

void qn__reduce_begin(qn_reduce *r)
{
    r->device_at = qn__seconds();
}

qn_status qn__reduce_leaf(qn_reduce *r, qn_plan *plan, bool whole)
{
    if (!whole) return qn_plan_run(plan, QN_ALL, 0, 0);
    know_plan(r, plan);
    qn__plan_watch(plan, after_step, r);
    qn_status status = qn_plan_run(plan, QN_ALL, 0, 0);
    qn__plan_watch(plan, NULL, NULL);
    return status;
}

qn_status qn__reduce_finish(qn_reduce *r)
{
    while (r->posted < r->count) QN_TRY(post_next(r));
    r->posted = 0;
    QN_TRY(r->comm->wait(r->comm, r->ticket, 0, 0));
    return qn__compute_after_transfers(r->training->store->device);
}
