/* Passes for products with quantized matrices: what is added joins the product, and products that
 * read the same rows become one. The bits stay; there are fewer launches. */
#include "graph/graph.h"

enum { X, W, BIAS, C, W2, BIAS2, W3, BIAS3 };

/* qmatmul, add -> qmatmul with c, where c was made before the product. */
static void fuse_sum(const qn_graph *graph, qn_node *nodes, int count, int at, const int *reads)
{
    qn_node *product = &nodes[at];
    int y = product->out[0];
    if (product->in[C] >= 0 || product->in[W2] >= 0 || !qn__own_storage(graph, y) || reads[y] != 1)
        return;
    for (int i = at + 1; i < count; i++) {
        qn_node *sum = &nodes[i];
        if (sum->dead || sum->backward || sum->op != QN_OP_ADD) continue;
        if (sum->in[0] != y && sum->in[1] != y) continue;
        int other = sum->in[0] == y ? sum->in[1] : sum->in[0];
        /* Tensors are numbered as they are made. */
        if (other >= y ||
            !qn_shape_equal(&graph->tensors[other]->desc.shape, &graph->tensors[y]->desc.shape))
            return;
        product->in[C] = other;
        product->out[0] = sum->out[0];
        sum->dead = true;
        return;
    }
}

/* Is it a product by itself, of the same rows and format as `first`? */
static bool joins(const qn_graph *graph, const qn_node *first, const qn_node *node)
{
    return !node->dead && !node->backward && node->op == QN_OP_QMATMUL &&
           node->in[X] == first->in[X] && node->in[C] < 0 && node->in[W2] < 0 &&
           graph->tensors[node->in[W]]->store >= 0 && qn__own_storage(graph, node->out[0]) &&
           graph->tensors[node->in[W]]->desc.dtype == graph->tensors[first->in[W]]->desc.dtype;
}

/* Later products of the same rows and format -> further outputs of this one. */
static void fuse_siblings(const qn_graph *graph, qn_node *nodes, int count, int at)
{
    qn_node *first = &nodes[at];
    if (first->in[C] >= 0 || first->in[W2] >= 0) return;
    for (int i = at + 1, part = 1; i < count && part < 3; i++) {
        if (!joins(graph, first, &nodes[i])) continue;
        first->in[part == 1 ? W2 : W3] = nodes[i].in[W];
        first->in[part == 1 ? BIAS2 : BIAS3] = nodes[i].in[BIAS];
        first->out[part++] = nodes[i].out[0];
        nodes[i].dead = true;
    }
}

/* rms_norm or swiglu, quantize -> the op with out=q8x. */
static void fuse_quantize(const qn_graph *graph, qn_node *nodes, int count, int at, int attr,
                          const int *reads)
{
    qn_node *node = &nodes[at];
    int y = node->out[0];
    if (node->backward || !qn__own_storage(graph, y) || reads[y] != 1) return;
    if (graph->tensors[y]->desc.dtype != QN_F32) return;
    for (int i = at + 1; i < count; i++) {
        if (nodes[i].dead || nodes[i].op != QN_OP_QUANTIZE || nodes[i].in[0] != y) continue;
        node->attr[attr] = (qn_attr){.i = 1, .f = 1};
        node->out[0] = nodes[i].out[0];
        nodes[i].dead = true;
        return;
    }
}

/* qmatmul of two matrices, swiglu -> qmatmul with glu. */
static void fuse_gated(const qn_graph *graph, qn_node *nodes, int count, int at, const int *reads)
{
    enum { GLU };
    qn_node *product = &nodes[at];
    int gate = product->out[0], up = product->out[1];
    if (product->in[C] >= 0 || product->in[W2] < 0 || product->in[W3] >= 0) return;
    if (reads[gate] != 1 || reads[up] != 1 || !qn__own_storage(graph, gate)) return;
    for (int i = at + 1; i < count; i++) {
        if (nodes[i].dead || nodes[i].op != QN_OP_SWIGLU || nodes[i].backward) continue;
        if (nodes[i].in[0] != gate || nodes[i].in[1] != up) continue;
        product->attr[GLU] = (qn_attr){.i = 1, .f = 1};
        product->out[0] = nodes[i].out[0];
        product->out[1] = -1;
        nodes[i].dead = true;
        return;
    }
}

void qn__pass_fuse_quantized(const qn_graph *graph, qn_node *nodes, int count, const int *reads)
{
    for (int i = 0; i < count; i++) {
        enum { NORM_OUT = 1, SWIGLU_OUT = 0, QMATMUL_OUT = 1 }; /* attributes */
        if (nodes[i].dead) continue;
        if (nodes[i].op == QN_OP_RMS_NORM) fuse_quantize(graph, nodes, count, i, NORM_OUT, reads);
        if (nodes[i].op == QN_OP_SWIGLU) fuse_quantize(graph, nodes, count, i, SWIGLU_OUT, reads);
        if (nodes[i].op != QN_OP_QMATMUL) continue;
        fuse_sum(graph, nodes, count, i, reads);
        fuse_siblings(graph, nodes, count, i);
        fuse_gated(graph, nodes, count, i, reads);
        if (nodes[i].attr[0].i) fuse_quantize(graph, nodes, count, i, QMATMUL_OUT, reads);
    }
}
