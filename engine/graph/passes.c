/* Passes over a plan's copy of the nodes: what leads nowhere is dropped; bias and activation join
 * the matrix product before them, with the same bits. */
#include "graph/graph.h"

#include <stdlib.h>
#include <string.h>

/* ---- dead nodes ---- */

typedef struct live_set {
    const qn_graph *graph;
    bool *live; /* by root id */
    bool useful;
} live_set;

static void see_write(void *user, int tensor, bool write)
{
    live_set *set = user;
    const qn_tensor *t = set->graph->tensors[tensor];
    if (write) set->useful |= t->store >= 0 || set->live[t->root];
}

static void see_read(void *user, int tensor, bool write)
{
    live_set *set = user;
    if (!write) set->live[set->graph->tensors[tensor]->root] = true;
}

void qn__pass_drop_dead(const qn_graph *graph, qn_node *nodes, int count)
{
    live_set set = {.graph = graph, .live = calloc((size_t)graph->tensor_count + 1, sizeof(bool))};
    if (!set.live) return; /* nothing is dropped: correct, only slower */
    for (int i = count - 1; i >= 0; i--) {
        if (nodes[i].dead || nodes[i].op == QN_RESHAPE) continue;
        set.useful = false;
        qn__node_each(&nodes[i], see_write, &set);
        nodes[i].dead = !set.useful;
        if (set.useful) qn__node_each(&nodes[i], see_read, &set);
    }
    free(set.live);
}

/* ---- fusing ---- */

typedef struct use_count {
    const qn_graph *graph;
    int *reads; /* by root id */
} use_count;

static void count_read(void *user, int tensor, bool write)
{
    use_count *uses = user;
    if (!write) uses->reads[uses->graph->tensors[tensor]->root]++;
}

/* The only live node after `from` that reads tensor `id` directly as in[0], forward, of this op;
 * -1. */
static int reader(const qn_node *nodes, int count, int from, int id, int op)
{
    for (int i = from + 1; i < count; i++)
        if (!nodes[i].dead && !nodes[i].backward && nodes[i].op == op && nodes[i].in[0] == id)
            return i;
    return -1;
}

static bool own_storage(const qn_graph *graph, int id)
{
    return graph->tensors[id]->root == id && graph->tensors[id]->store < 0;
}

/* matmul, add of a vector -> matmul with bias. */
static void fuse_bias(qn_graph *graph, qn_node *nodes, int count, int at, const int *reads)
{
    qn_node *product = &nodes[at];
    int y = product->out[0];
    if (product->in[2] >= 0 || product->attr[2].i != 0 || !own_storage(graph, y) || reads[y] != 1)
        return;
    int next = reader(nodes, count, at, y, QN_OP_ADD);
    if (next < 0) return;
    int bias = nodes[next].in[1];
    const qn_shape *shape = &graph->tensors[bias]->desc.shape;
    if (shape->rank != 1 ||
        shape->dim[0] != graph->tensors[y]->desc.shape.dim[graph->tensors[y]->desc.shape.rank - 1])
        return;
    if (graph->tensors[bias]->store < 0) return; /* might not be made yet */
    product->in[2] = bias;
    product->out[0] = nodes[next].out[0];
    nodes[next].dead = true;
}

/* matmul, activation -> matmul with act; the argument of act stays as `pre` when the backward pass
 * reads it. */
static void fuse_act(qn_graph *graph, qn_node *nodes, int count, int at, const int *reads)
{
    static const struct {
        int op, act, act_erf;
    } table[] = {{QN_OP_GELU, 1, 2}, {QN_OP_SILU, 3, 3}, {QN_OP_RELU, 4, 4}, {QN_OP_TANH, 5, 5}};
    qn_node *product = &nodes[at];
    int z = product->out[0];
    if (product->attr[2].i != 0 || !own_storage(graph, z)) return;
    for (size_t t = 0; t < sizeof table / sizeof table[0]; t++) {
        int next = reader(nodes, count, at, z, table[t].op);
        if (next < 0) continue;
        int act =
            nodes[next].op == QN_OP_GELU && nodes[next].attr[0].i ? table[t].act_erf : table[t].act;
        product->attr[2] = (qn_attr){.i = act, .f = act};
        product->out[0] = nodes[next].out[0];
        product->out[1] = reads[z] > 1 ? z : -1;
        nodes[next].dead = true;
        return;
    }
}

void qn__pass_fuse(qn_graph *graph, qn_node *nodes, int count)
{
    use_count uses = {.graph = graph,
                      .reads = calloc((size_t)graph->tensor_count + 1, sizeof(int))};
    if (!uses.reads) return;
    for (int i = 0; i < count; i++)
        if (!nodes[i].dead && nodes[i].op != QN_RESHAPE)
            qn__node_each(&nodes[i], count_read, &uses);
    for (int i = 0; i < count; i++) {
        if (nodes[i].dead || nodes[i].op != QN_OP_MATMUL) continue;
        fuse_bias(graph, nodes, count, i, uses.reads);
        fuse_act(graph, nodes, count, i, uses.reads);
    }
    free(uses.reads);
}
