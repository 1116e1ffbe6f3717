/* Reverse mode: nodes of the forward pass visited backwards, each adding nodes that make its
 * inputs' gradients. */
#include "graph/graph.h"

#include "base/check.h"

#include <stdio.h>
#include <string.h>

/* The product just made begins its sums where those of `so_far` ended, in their place. */
static bool continue_chain(qn_graph *graph, int so_far, int part, bool carried)
{
    enum { C = 3, ACT = 2 };
    qn_node *last = &graph->nodes[graph->node_count - 1];
    qn_tensor *sum = graph->tensors[so_far], *more = graph->tensors[part];
    if ((!graph->chaining && !carried) || last->op != QN_OP_MATMUL || last->out[0] != part ||
        last->in[C] >= 0 || last->attr[ACT].i != 0 || sum->desc.dtype != QN_F32 ||
        more->desc.dtype != QN_F32 || more->root != part || more->store >= 0)
        return false;
    last->in[C] = so_far;
    more->root = sum->root;
    more->offset = sum->offset;
    more->store = sum->store;
    return true;
}

static qn_status as_type(qn_graph *graph, qn_dtype type, int *tensor)
{
    char line[32];
    if (*tensor < 0 || graph->tensors[*tensor]->desc.dtype == type) return QN_OK;
    snprintf(line, sizeof line, "cast to=%s", qn_dtype_name(type));
    return qn__graph_emit(graph, line, tensor, 1, tensor);
}

/* gradient of `tensor` += the tensor `part`; parts of two types are added in f32 */
static qn_status add_gradient(qn_graph *graph, int tensor, int part)
{
    if (part < 0) return QN_OK;
    int so_far = graph->tensors[tensor]->grad;
    bool carried = so_far < 0 && graph->tensors[tensor]->carry >= 0;
    if (carried) so_far = graph->tensors[tensor]->carry;
    if (so_far >= 0 && !continue_chain(graph, so_far, part, carried)) {
        if (graph->tensors[so_far]->desc.dtype != graph->tensors[part]->desc.dtype) {
            QN_TRY(as_type(graph, QN_F32, &so_far));
            QN_TRY(as_type(graph, QN_F32, &part));
        }
        int both[2] = {so_far, part};
        QN_TRY(qn__graph_emit(graph, "add", both, 2, &part));
    }
    graph->tensors[tensor]->grad = part;
    return QN_OK;
}

static qn_status emit(qn_grad_builder *builder, const char *line, const int *inputs, int n,
                      int *output)
{
    return qn__graph_emit(builder->user, line, inputs, n, output);
}

static qn_status reshape(qn_grad_builder *builder, int tensor, const qn_shape *shape, int *output)
{
    return qn__graph_view(builder->user, tensor, shape, output);
}

static bool differentiable(const qn_graph *graph, const qn_op_row *row, const qn_node *node, int i)
{
    return node->in[i] >= 0 && !row->in[i].integer && !row->in[i].constant &&
           graph->tensors[node->in[i]]->wants_grad;
}

/* What flows into the node's outputs takes their type: a product may have given f32. */
static qn_status outputs_typed(qn_graph *graph, const qn_node *node, int count)
{
    for (int o = 0; o < count; o++) {
        if (node->out[o] < 0) continue;
        qn_tensor *out = graph->tensors[node->out[o]];
        int grad = out->grad;
        QN_TRY(as_type(graph, out->desc.dtype, &grad));
        graph->tensors[node->out[o]]->grad = grad;
    }
    return QN_OK;
}

/* The op's own recipe of other ops. */
static qn_status by_graph(qn_graph *graph, const qn_node *node, const qn_op_row *row)
{
    qn_call call;
    qn__node_call(graph, node, &call);
    qn_grad_builder builder = {.call = &call, .emit = emit, .reshape = reshape, .user = graph};
    for (int i = 0; i < QN_OP_MAX_IN; i++) {
        builder.in[i] = node->in[i];
        builder.din[i] = -1;
        builder.wanted[i] = i < row->in_count && differentiable(graph, row, node, i);
    }
    for (int o = 0; o < QN_OP_MAX_OUT; o++) {
        builder.out[o] = node->out[o];
        builder.dout[o] = node->out[o] >= 0 ? graph->tensors[node->out[o]]->grad : -1;
    }
    QN_TRY(call.op->grad(&builder));
    for (int i = 0; i < row->in_count; i++)
        if (builder.wanted[i]) QN_TRY(add_gradient(graph, node->in[i], builder.din[i]));
    return QN_OK;
}

/* A backward node of the same op. */
static qn_status by_kernel(qn_graph *graph, const qn_node *node, const qn_op_row *row)
{
    qn_node *made;
    qn_node copy = *node;
    int din[QN_OP_MAX_IN];
    for (int i = 0; i < QN_OP_MAX_IN; i++) {
        din[i] = -1;
        if (i < row->in_count && differentiable(graph, row, &copy, i)) {
            qn_desc desc = graph->tensors[copy.in[i]]->desc;
            if (qn__op((qn_op_id)node->op)->grad_f32 >> i & 1u) desc.dtype = QN_F32;
            QN_TRY(qn__graph_new_tensor(graph, &desc, &din[i]));
        }
    }
    QN_TRY(qn__graph_new_node(graph, &made));
    made->op = copy.op;
    made->backward = true;
    memcpy(made->attr, copy.attr, sizeof made->attr);
    for (int i = 0; i < row->in_count; i++) made->in[i] = copy.in[i];
    for (int o = 0; o < row->out_count; o++) {
        made->out[o] = copy.out[o];
        made->dout[o] = copy.out[o] >= 0 ? graph->tensors[copy.out[o]]->grad : -1;
    }
    memcpy(made->din, din, sizeof din);
    for (int i = 0; i < row->in_count; i++)
        if (din[i] >= 0) QN_TRY(add_gradient(graph, copy.in[i], din[i]));
    return QN_OK;
}

static qn_status differentiate(qn_graph *graph, int index)
{
    qn_node node = graph->nodes[index];
    if (node.op == QN_RESHAPE) {
        QN_TRY(outputs_typed(graph, &node, 1));
        int part = graph->tensors[node.out[0]]->grad;
        if (part < 0 || !graph->tensors[node.in[0]]->wants_grad) return QN_OK;
        QN_TRY(qn__graph_view(graph, part, &graph->tensors[node.in[0]]->desc.shape, &part));
        return add_gradient(graph, node.in[0], part);
    }
    if (node.op < 0) {
        if (graph->tensors[node.out[0]]->grad < 0) return QN_OK;
        return qn__fail(
            QN_UNSUPPORTED,
            "a collective or transfer has no gradient: place it after the backward pass");
    }
    const qn_op_row *row = qn__op_row((qn_op_id)node.op);
    bool reached = false, wanted = false;
    for (int o = 0; o < row->out_count; o++)
        reached |= node.out[o] >= 0 && graph->tensors[node.out[o]]->grad >= 0;
    for (int i = 0; i < row->in_count; i++) wanted |= differentiable(graph, row, &node, i);
    if (!reached || !wanted) return QN_OK;
    if (row->gradient == QN_GRAD_NONE)
        return qn__fail(QN_UNSUPPORTED, "%s has no gradient (QN_OP_NO_GRAD in op_list.def)",
                        row->stem);
    QN_TRY(outputs_typed(graph, &node, row->out_count));
    return row->gradient == QN_GRAD_GRAPH ? by_graph(graph, &node, row)
                                          : by_kernel(graph, &node, row);
}

qn_status qn_graph_backward(qn_graph *graph, qn_tensor *loss, qn_tensor *seed)
{
    QN_TRY(qn_graph_status(graph));
    QN_CHECK(loss && seed, "backward needs a loss and the gradient to start from");
    QN_CHECK(!graph->building_backward, "this graph already has its backward pass");
    QN_CHECK(qn_shape_equal(&loss->desc.shape, &seed->desc.shape),
             "the seed does not have the loss's shape");
    QN_CHECK(loss->wants_grad, "the loss does not depend on any weight (qn_graph_weight)");
    int count = graph->node_count;
    graph->building_backward = true;
    loss->grad = seed->id;
    for (int i = count - 1; i >= 0; i--) QN_TRY(differentiate(graph, i));
    return QN_OK;
}

qn_status qn__graph_backward_part(qn_graph *graph, int from, int loss, int seed)
{
    int count = graph->node_count;
    graph->chaining = true;
    graph->tensors[loss]->grad = seed;
    qn_status status = QN_OK;
    for (int i = count - 1; i >= from && status == QN_OK; i--) status = differentiate(graph, i);
    graph->chaining = false;
    return status;
}

qn_status qn__graph_backward_rest(qn_graph *graph, int until, int from, int seed)
{
    QN_CHECK(!graph->building_backward, "this graph already has its backward pass");
    graph->building_backward = true;
    graph->tensors[from]->grad = seed;
    for (int i = until - 1; i >= 0; i--) QN_TRY(differentiate(graph, i));
    return QN_OK;
}

qn_tensor *qn_graph_gradient(qn_graph *graph, qn_tensor *tensor)
{
    return tensor && tensor->grad >= 0 ? graph->tensors[tensor->grad] : NULL;
}
