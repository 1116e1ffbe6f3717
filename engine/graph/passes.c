/* Passes over a plan's copy of the nodes: what leads nowhere is dropped; bias and activation join
 * the matrix product before them, and so does an older sum that the product is added to, with the
 * same bits. */
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

/* matmul, add of a vector -> matmul with bias. */
static void fuse_bias(qn_graph *graph, qn_node *nodes, int count, int at, const int *reads)
{
    qn_node *product = &nodes[at];
    int y = product->out[0];
    if (product->in[2] >= 0 || product->attr[2].i != 0 || !qn__own_storage(graph, y) ||
        reads[y] != 1)
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
    if (product->attr[2].i != 0 || !qn__own_storage(graph, z)) return;
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

/* ---- sums onto stored ones ---- */

typedef struct meeting {
    const qn_graph *graph;
    int tensor; /* looked for: itself, */
    int store;  /* or whatever lies in this stored tensor */
    int found;
} meeting;

static void meet(void *user, int tensor, bool write)
{
    meeting *m = user;
    (void)write;
    m->found +=
        tensor == m->tensor || (m->store >= 0 && m->graph->tensors[tensor]->store == m->store);
}

/* The one node that uses tensor `id`, made by node `at`, when it is an add of it to a stored tensor
 * of its shape that nobody touches in between; -1. */
static int adds_onto(const qn_graph *graph, const qn_node *nodes, int count, int at, int id)
{
    meeting use = {.graph = graph, .tensor = id, .store = -1};
    int next = -1;
    for (int i = at + 1; i < count; i++) {
        if (nodes[i].dead) continue;
        int before = use.found;
        qn__node_each(&nodes[i], meet, &use);
        if (use.found > before && next < 0) next = i;
    }
    if (next < 0 || use.found != 1 || nodes[next].op != QN_OP_ADD || nodes[next].backward)
        return -1;
    if (nodes[next].in[1] != id) return -1;
    const qn_tensor *older = graph->tensors[nodes[next].in[0]], *sum = graph->tensors[id];
    if (older->store < 0 || older->offset != 0 || sum->desc.dtype != QN_F32 ||
        older->desc.dtype != QN_F32 || !qn_shape_equal(&older->desc.shape, &sum->desc.shape))
        return -1;
    meeting between = {.graph = graph, .tensor = -1, .store = older->store};
    for (int i = at + 1; i < next; i++)
        if (!nodes[i].dead) qn__node_each(&nodes[i], meet, &between);
    return between.found ? -1 : next;
}

/* Storage that is its own, or that a product of the same chain before it began. */
static bool chain_storage(const qn_graph *graph, const qn_node *product, int id)
{
    enum { C = 3 };
    if (graph->tensors[id]->store >= 0) return false;
    return graph->tensors[id]->root == id ||
           (product->in[C] >= 0 &&
            graph->tensors[product->in[C]]->root == graph->tensors[id]->root);
}

/* matmul, add to a stored sum, up to three times -> matmul with onto. */
static void fuse_onto(qn_graph *graph, qn_node *nodes, int count, int at)
{
    enum { BIAS = 2, ONTO = 4, LAST = 6, ACT = 2 };
    qn_node *product = &nodes[at];
    qn_call call;
    if (product->in[BIAS] >= 0 || product->out[1] >= 0 || product->attr[ACT].i != 0 ||
        product->in[ONTO] >= 0)
        return;
    qn__node_call(graph, product, &call);
    if (!qn__product_joins(&call)) return;
    for (int slot = ONTO; slot <= LAST; slot++) {
        if (!chain_storage(graph, product, product->out[0])) return;
        int next = adds_onto(graph, nodes, count, at, product->out[0]);
        if (next < 0) return;
        product->in[slot] = nodes[next].in[0];
        product->out[0] = nodes[next].out[0];
        nodes[next].dead = true;
    }
}

/* A table's gradient, add to a stored sum of such gradients -> only the rows that have one, in its
 * place. These sums begin with 0, so that none is -0 and adding 0 to the others changes nothing. */
static void fuse_rows(qn_graph *graph, qn_node *nodes, int count, int at)
{
    enum { TABLE, IDS };
    qn_node *node = &nodes[at];
    int part = node->din[TABLE];
    if (part < 0 || node->dout[0] < 0 || !qn__own_storage(graph, part)) return;
    int next = adds_onto(graph, nodes, count, at, part);
    if (next < 0 || !nodes[next].in_backward) return;
    const qn_tensor *sum = graph->tensors[nodes[next].in[0]];
    qn_tensor *out = graph->tensors[nodes[next].out[0]];
    bool there = out->store == sum->store && out->copy == sum->copy;
    if (!there && !qn__own_storage(graph, out->id)) return;
    out->root = sum->root;
    out->store = sum->store;
    out->copy = sum->copy;
    qn_node rows = nodes[next];
    rows.op = QN_OP_ADD_ROWS;
    memset(rows.attr, 0, sizeof rows.attr);
    rows.in[1] = node->dout[0];
    rows.in[2] = node->in[IDS];
    *node = rows;
    nodes[next].dead = true;
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
        if (nodes[i].dead) continue;
        if (nodes[i].op == QN_OP_EMBEDDING && nodes[i].backward) fuse_rows(graph, nodes, count, i);
        if (nodes[i].op != QN_OP_MATMUL) continue;
        fuse_bias(graph, nodes, count, i, uses.reads);
        fuse_act(graph, nodes, count, i, uses.reads);
        fuse_onto(graph, nodes, count, i);
    }
    qn__pass_fuse_quantized(graph, nodes, count, uses.reads);
    free(uses.reads);
}
