/* Activations made again in the backward pass instead of kept. After the backward pass was built
 * and before fusing: nodes are cloned right before the first backward node that reads what they
 * make, with new tensors for their outputs, so that placing by liveness ends the life of the first
 * ones with the forward pass. The same ops on the same values: the same bits.
 *
 * cheap  nodes whose row says CHEAP and whose inputs are there in the backward pass anyway, or are
 *        made again themselves
 * block  what the nodes of a marked block make, unless another part of the network reads it (the
 *        inputs of blocks); outside of blocks as cheap
 *
 * (Chen et al. 2016; Korthikanti et al. 2022, "selective".) */
#include "graph/graph.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

typedef struct remaker {
    qn_graph *graph;
    const qn_node *nodes;
    int count, tensors; /* as they were */
    int *maker;         /* by root: the one node that writes it; NONE, SEVERAL */
    bool *needed;       /* by root: the backward pass reads it */
    bool *crosses;      /* by root: read in the forward pass outside of its maker's block */
    bool *written;      /* by store index: some node writes it */
    bool *again;        /* by node */
    int *now;           /* by tensor id: its second self; -1 */
    qn_node *made;      /* the new list */
    int made_count;
    int at; /* node being looked at */
} remaker;

enum { NONE = -1, SEVERAL = -2 };

static int root_of(const remaker *r, int tensor)
{
    return r->graph->tensors[tensor]->root;
}

/* ---- who makes and reads what ---- */

static void see_write(void *user, int tensor, bool write)
{
    remaker *r = user;
    const qn_tensor *t = r->graph->tensors[tensor];
    if (!write) return;
    if (t->store >= 0) r->written[t->store] = true;
    r->maker[t->root] = r->maker[t->root] == NONE ? r->at : SEVERAL;
}

static void see_read(void *user, int tensor, bool write)
{
    remaker *r = user;
    int root = root_of(r, tensor), maker = r->maker[root];
    if (write) return;
    if (r->nodes[r->at].in_backward) r->needed[root] = true;
    else if (maker >= 0 && r->nodes[maker].block != r->nodes[r->at].block) r->crosses[root] = true;
}

static bool lives(const qn_node *node)
{
    return !node->dead && node->op != QN_RESHAPE;
}

/* ---- which nodes run twice ---- */

/* A forward op that alone writes tensors of its own. */
static bool can_run_again(const remaker *r, int index)
{
    const qn_node *node = &r->nodes[index];
    if (!lives(node) || node->op < 0 || node->in_backward || node->backward) return false;
    for (int o = 0; o < QN_OP_MAX_OUT; o++) {
        int id = node->out[o];
        if (id >= 0 &&
            (root_of(r, id) != id || r->graph->tensors[id]->store >= 0 || r->maker[id] != index))
            return false;
    }
    return true;
}

/* Will it be there in the backward pass, without keeping it for this? */
static bool is_there(const remaker *r, int tensor)
{
    const qn_tensor *t = r->graph->tensors[tensor];
    if (t->store >= 0) return !r->written[t->store];
    int maker = r->maker[t->root]; /* written by several: it may have been something else */
    return maker >= 0 && (r->needed[t->root] || r->again[maker]);
}

static bool cheap_again(const remaker *r, const qn_node *node)
{
    if (!qn__op_row((qn_op_id)node->op)->cheap) return false;
    for (int i = 0; i < QN_OP_MAX_IN; i++)
        if (node->in[i] >= 0 && !is_there(r, node->in[i])) return false;
    return true;
}

static bool block_again(const remaker *r, const qn_node *node)
{
    for (int o = 0; o < QN_OP_MAX_OUT; o++)
        if (node->out[o] >= 0 && r->crosses[node->out[o]]) return false;
    for (int i = 0; i < QN_OP_MAX_IN; i++) {
        const qn_tensor *t = node->in[i] >= 0 ? r->graph->tensors[node->in[i]] : NULL;
        if (t && t->store >= 0 && r->written[t->store]) return false;
        if (t && t->store < 0 && r->maker[t->root] < 0) return false;
    }
    return true;
}

static void decide(remaker *r, qn_recompute mode)
{
    for (int i = 0; i < r->count; i++) {
        const qn_node *node = &r->nodes[i];
        if (!can_run_again(r, i)) continue;
        r->again[i] = mode == QN_RECOMPUTE_BLOCK && node->block > 0 ? block_again(r, node)
                                                                    : cheap_again(r, node);
    }
}

/* ---- cloning ---- */

static qn_status clone(remaker *r, int index);

/* The tensor to read in the backward pass instead of *tensor, its maker cloned first if need be. */
static qn_status second_self(remaker *r, int *tensor)
{
    int id = *tensor;
    if (id < 0 || id >= r->tensors) return QN_OK; /* of a clone already */
    const qn_tensor *t = r->graph->tensors[id];
    int root = t->root, maker = t->store < 0 ? r->maker[root] : NONE, view;
    if (maker < 0 || !r->again[maker]) return QN_OK;
    if (r->now[root] < 0) QN_TRY(clone(r, maker));
    if (r->now[id] < 0) {
        QN_TRY(qn__graph_new_tensor(r->graph, &t->desc, &view));
        r->graph->tensors[view]->root = r->now[root];
        r->graph->tensors[view]->offset = t->offset;
        r->now[id] = view;
    }
    *tensor = r->now[id];
    return QN_OK;
}

/* A chain of makers is no longer than a block, and each is cloned once. */
static qn_status clone(remaker *r, int index)
{
    qn_node node = r->nodes[index];
    for (int i = 0; i < QN_OP_MAX_IN; i++) QN_TRY(second_self(r, &node.in[i]));
    for (int o = 0; o < QN_OP_MAX_OUT; o++) {
        int id = node.out[o];
        if (id < 0) continue;
        QN_TRY(qn__graph_new_tensor(r->graph, &r->graph->tensors[id]->desc, &node.out[o]));
        r->now[id] = node.out[o];
    }
    node.in_backward = node.again = true;
    r->made[r->made_count++] = node;
    return QN_OK;
}

static qn_status rewrite(remaker *r)
{
    for (int i = 0; i < r->count; i++) {
        qn_node node = r->nodes[i];
        if (!lives(&node)) continue;
        if (node.in_backward && node.op >= 0) {
            const qn_op *op = node.backward ? qn__op((qn_op_id)node.op) : NULL;
            for (int t = 0; t < QN_OP_MAX_IN; t++)
                if (!op || op->bwd_reads_in >> t & 1u) QN_TRY(second_self(r, &node.in[t]));
            for (int t = 0; op && t < QN_OP_MAX_OUT; t++)
                if (op->bwd_reads_out >> t & 1u) QN_TRY(second_self(r, &node.out[t]));
        }
        r->made[r->made_count++] = node;
    }
    return QN_OK;
}

/* ---- the pass ---- */

static bool make_room(remaker *r)
{
    size_t tensors = (size_t)r->tensors + 1, nodes = (size_t)r->count + 1;
    r->maker = malloc(tensors * sizeof *r->maker);
    r->now = malloc(tensors * sizeof *r->now);
    r->needed = calloc(tensors, sizeof *r->needed);
    r->crosses = calloc(tensors, sizeof *r->crosses);
    r->written = calloc((size_t)r->graph->store->tensor_count + 1, sizeof *r->written);
    r->again = calloc(nodes, sizeof *r->again);
    r->made = malloc(2 * nodes * sizeof *r->made);
    if (!r->maker || !r->now || !r->needed || !r->crosses || !r->written || !r->again || !r->made)
        return false;
    for (size_t i = 0; i < tensors; i++) r->maker[i] = r->now[i] = NONE;
    return true;
}

static void free_room(remaker *r)
{
    free(r->maker);
    free(r->now);
    free(r->needed);
    free(r->crosses);
    free(r->written);
    free(r->again);
}

qn_status qn__pass_recompute(qn_graph *graph, qn_recompute mode, qn_node **nodes, int *count)
{
    remaker r = {.graph = graph, .nodes = *nodes, .count = *count, .tensors = graph->tensor_count};
    if (mode == QN_KEEP_ALL) return QN_OK;
    QN_CHECK(mode == QN_RECOMPUTE_CHEAP || mode == QN_RECOMPUTE_BLOCK,
             "qn_plan_options.recompute is %d", (int)mode);
    QN_CHECK(graph->rows == 0, "recompute: not with a run-time number of rows");
    qn_status status = make_room(&r) ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
    for (r.at = 0; status == QN_OK && r.at < r.count; r.at++)
        if (lives(&r.nodes[r.at])) qn__node_each(&r.nodes[r.at], see_write, &r);
    for (r.at = 0; status == QN_OK && r.at < r.count; r.at++)
        if (lives(&r.nodes[r.at])) qn__node_each(&r.nodes[r.at], see_read, &r);
    if (status == QN_OK) decide(&r, mode);
    if (status == QN_OK) status = rewrite(&r);
    free_room(&r);
    if (status != QN_OK) {
        free(r.made);
        return status;
    }
    free(*nodes);
    *nodes = r.made;
    *count = r.made_count;
    return QN_OK;
}
