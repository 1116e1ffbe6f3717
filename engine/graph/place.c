/* Memory by liveness: a tensor's place is free again after its last reader. Largest first, lowest
 * offset that no living neighbour holds (Pisarchyk and Lee 2020, "greedy by size"). */
#include "graph/plan.h"

#include "base/check.h"
#include "base/checked.h"

#include <stdlib.h>

typedef struct walker {
    qn_plan *plan;
    int step;
} walker;

static void touch(void *user, int tensor, bool write)
{
    walker *w = user;
    const qn_tensor *t = w->plan->graph->tensors[tensor];
    (void)write;
    if (t->store >= 0) return;
    qn_place *place = &w->plan->places[t->root];
    if (!place->used) *place = (qn_place){.used = true, .first = w->step, .merged = -1};
    place->last = place->held = w->step;
    uint64_t bytes = qn__desc_bytes(&w->plan->graph->tensors[t->root]->desc);
    if (bytes > place->bytes) place->bytes = bytes;
    bytes = t->offset + qn__desc_bytes(&t->desc);
    if (bytes > place->bytes) place->bytes = bytes;
}

static int root_of(const qn_plan *plan, int tensor)
{
    return tensor < 0 || plan->graph->tensors[tensor]->store >= 0
               ? -1
               : plan->graph->tensors[tensor]->root;
}

static int final_place(const qn_plan *plan, int root)
{
    while (plan->places[root].merged >= 0) root = plan->places[root].merged;
    return root;
}

/* A view of some rows of what its storage holds. */
static bool is_part(const qn_plan *plan, int tensor)
{
    const qn_tensor *t = plan->graph->tensors[tensor];
    return qn__desc_bytes(&t->desc) != qn__desc_bytes(&plan->graph->tensors[t->root]->desc);
}

/* Let `out` take over the place of `in`, which dies here. */
static void try_merge(qn_plan *plan, int step, int in, int out)
{
    int from = root_of(plan, in), to = root_of(plan, out);
    if (from < 0 || to < 0) return;
    if (is_part(plan, in) || is_part(plan, out)) return; /* the rest of it may hold something */
    from = final_place(plan, from);
    if (from == to || plan->places[to].merged >= 0 || plan->places[to].first != step) return;
    qn_place *place = &plan->places[from];
    if (place->held != step || place->first == step || place->bytes != plan->places[to].bytes)
        return;
    plan->places[to].merged = from;
    place->held = plan->places[to].last;
}

static void merge_in_place(qn_plan *plan, int step)
{
    const qn_node *node = &plan->steps[step].node;
    if (node->op < 0) return; /* in place as it is, or between two memories */
    const qn_op *op = qn__op((qn_op_id)node->op);
    if (node->backward) {
        if (op->bwd_in_place && node->din[0] >= 0 && node->dout[0] >= 0)
            try_merge(plan, step, node->dout[0], node->din[0]);
        if (op->bwd_over_in && node->din[0] >= 0 && node->in[0] >= 0)
            try_merge(plan, step, node->in[0], node->din[0]);
        return;
    }
    for (int i = 0; i < QN_OP_MAX_IN; i++) {
        if (!(op->fwd_in_place >> i & 1u) || node->in[i] < 0 || node->out[0] < 0) continue;
        int same = 0; /* an input given twice must not be overwritten while the other reads it */
        for (int j = 0; j < QN_OP_MAX_IN; j++)
            same += node->in[j] >= 0 && root_of(plan, node->in[j]) == root_of(plan, node->in[i]);
        if (same == 1) try_merge(plan, step, node->in[i], node->out[0]);
    }
}

static int by_size(const void *a, const void *b, void *places)
{
    const qn_place *x = (const qn_place *)places + *(const int *)a;
    const qn_place *y = (const qn_place *)places + *(const int *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return *(const int *)a - *(const int *)b;
}

/* Lowest gap in `arena` among the placed tensors alive with `root`; false when it would pass the
 * limit. */
static bool fit(const qn_plan *plan, const int *placed, int count, int root, int arena,
                uint64_t limit, uint64_t *offset)
{
    const qn_place *place = &plan->places[root];
    uint64_t bytes = qn__round_up(place->bytes ? place->bytes : 1, QN_ALIGN), at = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < count; i++) {
            const qn_place *other = &plan->places[placed[i]];
            uint64_t other_bytes = qn__round_up(other->bytes ? other->bytes : 1, QN_ALIGN);
            if (other->arena != arena || other->held < place->first || other->first > place->held)
                continue;
            if (at + bytes <= other->offset || other->offset + other_bytes <= at) continue;
            at = other->offset + other_bytes;
            moved = true;
        }
    }
    *offset = at;
    return at + bytes <= limit;
}

static qn_status place_one(qn_plan *plan, const int *placed, int count, int root)
{
    uint64_t limit = plan->store->caps.max_alloc_bytes;
    qn_place *place = &plan->places[root];
    uint64_t bytes = qn__round_up(place->bytes ? place->bytes : 1, QN_ALIGN);
    if (bytes > limit)
        return qn__fail(QN_OUT_OF_DEVICE_MEMORY,
                        "an activation of %.1f MB is larger than the %.1f MB the device "
                        "gives at once: use a smaller --micro-batch",
                        (double)bytes / 1e6, (double)limit / 1e6);
    for (place->arena = 0; place->arena < 64; place->arena++)
        if (fit(plan, placed, count, root, place->arena, limit, &place->offset)) break;
    if (place->arena == 64)
        return qn__fail(QN_OUT_OF_DEVICE_MEMORY, "more than 64 arenas are needed");
    if (place->arena >= plan->arenas.count) plan->arenas.count = place->arena + 1;
    if (place->offset + bytes > plan->arenas.bytes[place->arena])
        plan->arenas.bytes[place->arena] = place->offset + bytes;
    return QN_OK;
}

/* Both halves of a plan with several slots run apart: what crosses, and what the forward half
 * keeps, must not share with the other half's temporaries of the same slot. Lives are by step
 * index, so nothing more is needed: a slot's own halves still run in order. */
qn_status qn__plan_place(qn_plan *plan)
{
    int tensors = plan->graph->tensor_count, count = 0;
    walker w = {.plan = plan};
    for (w.step = 0; w.step < plan->step_count; w.step++)
        qn__node_each(&plan->steps[w.step].node, touch, &w);
    for (int i = 0; i < plan->step_count; i++) merge_in_place(plan, i);
    int *order = malloc(((size_t)tensors + 1) * sizeof *order);
    int *placed = malloc(((size_t)tensors + 1) * sizeof *placed);
    qn_status status = order && placed ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
    for (int i = 0; status == QN_OK && i < tensors; i++)
        if (plan->places[i].used && plan->places[i].merged < 0) order[count++] = i;
    if (status == QN_OK) qsort_r(order, (size_t)count, sizeof *order, by_size, plan->places);
    for (int i = 0; status == QN_OK && i < count; i++) {
        status = place_one(plan, placed, i, order[i]);
        placed[i] = order[i];
    }
    for (int i = 0; status == QN_OK && i < tensors; i++) {
        if (!plan->places[i].used || plan->places[i].merged < 0) continue;
        const qn_place *at = &plan->places[final_place(plan, i)];
        plan->places[i].arena = at->arena;
        plan->places[i].offset = at->offset;
    }
    free(order);
    free(placed);
    return status;
}
