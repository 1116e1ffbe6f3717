#include "graph/graph.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

qn_status qn_graph_create(qn_store *store, qn_graph **graph)
{
    *graph = calloc(1, sizeof **graph);
    if (!*graph) return qn__fail(QN_OS_ERROR, "out of memory");
    (*graph)->store = store;
    return QN_OK;
}

void qn_graph_destroy(qn_graph **graph)
{
    qn_graph *g = *graph;
    if (!g) return;
    for (int i = 0; i < g->tensor_count; i++) free(g->tensors[i]);
    free(g->tensors);
    free(g->nodes);
    free(g->message);
    free(g);
    *graph = NULL;
}

/* Remember the first failure, so that building reads as one expression after another. */
static qn_status note(qn_graph *graph, qn_status status)
{
    if (status != QN_OK && graph->status == QN_OK) {
        graph->status = status;
        graph->message = strdup(qn_last_error());
    }
    return status;
}

qn_status qn_graph_status(const qn_graph *graph)
{
    if (graph->status == QN_OK) return QN_OK;
    return qn__fail(graph->status, "%s",
                    graph->message ? graph->message : "building the graph failed");
}

qn_status qn__graph_new_tensor(qn_graph *graph, const qn_desc *desc, int *id)
{
    if (graph->tensor_count == graph->tensor_capacity) {
        int capacity = graph->tensor_capacity ? graph->tensor_capacity * 2 : 256;
        qn_tensor **more = realloc(graph->tensors, (size_t)capacity * sizeof *more);
        if (!more) return qn__fail(QN_OS_ERROR, "out of memory");
        graph->tensors = more;
        graph->tensor_capacity = capacity;
    }
    qn_tensor *tensor = calloc(1, sizeof *tensor);
    if (!tensor) return qn__fail(QN_OS_ERROR, "out of memory");
    *id = graph->tensor_count;
    *tensor = (qn_tensor){.graph = graph,
                          .id = *id,
                          .desc = *desc,
                          .root = *id,
                          .store = -1,
                          .grad = -1,
                          .carry = -1};
    graph->tensors[graph->tensor_count++] = tensor;
    return QN_OK;
}

qn_status qn__graph_new_node(qn_graph *graph, qn_node **node)
{
    if (graph->node_count == graph->node_capacity) {
        int capacity = graph->node_capacity ? graph->node_capacity * 2 : 256;
        qn_node *more = realloc(graph->nodes, (size_t)capacity * sizeof *more);
        if (!more) return qn__fail(QN_OS_ERROR, "out of memory");
        graph->nodes = more;
        graph->node_capacity = capacity;
    }
    *node = &graph->nodes[graph->node_count++];
    memset(*node, 0, sizeof **node);
    memset((*node)->in, -1, sizeof(*node)->in);
    memset((*node)->out, -1, sizeof(*node)->out);
    memset((*node)->dout, -1, sizeof(*node)->dout);
    memset((*node)->din, -1, sizeof(*node)->din);
    (*node)->in_backward = graph->building_backward;
    (*node)->block = graph->building_backward ? 0 : graph->block;
    return QN_OK;
}

static qn_operand operand_of(const qn_graph *graph, int id)
{
    if (id < 0) return (qn_operand){0};
    return (qn_operand){.there = true, .desc = graph->tensors[id]->desc};
}

void qn__node_call(const qn_graph *graph, const qn_node *node, qn_call *call)
{
    *call = (qn_call){.op = node->op >= 0 ? qn__op((qn_op_id)node->op) : NULL,
                      .backward = node->backward,
                      .caps = &graph->store->caps};
    memcpy(call->attr, node->attr, sizeof call->attr);
    for (int i = 0; i < QN_OP_MAX_IN; i++) call->in[i] = operand_of(graph, node->in[i]);
    for (int i = 0; i < QN_OP_MAX_OUT; i++) call->out[i] = operand_of(graph, node->out[i]);
    for (int i = 0; i < QN_OP_MAX_OUT; i++) call->dout[i] = operand_of(graph, node->dout[i]);
    for (int i = 0; i < QN_OP_MAX_IN; i++) call->din[i] = operand_of(graph, node->din[i]);
}

void qn__node_each(const qn_node *node, void (*fn)(void *user, int tensor, bool write), void *user)
{
    const qn_op *op = node->backward ? qn__op((qn_op_id)node->op) : NULL;
    for (int i = 0; i < QN_OP_MAX_IN; i++)
        if (node->in[i] >= 0 && (!op || op->bwd_reads_in >> i & 1u)) fn(user, node->in[i], false);
    for (int i = 0; i < QN_OP_MAX_OUT; i++)
        if (node->dout[i] >= 0) fn(user, node->dout[i], false);
    for (int i = 0; i < QN_OP_MAX_OUT; i++)
        if (node->out[i] >= 0 && (!op || op->bwd_reads_out >> i & 1u)) fn(user, node->out[i], !op);
    for (int i = 0; i < QN_OP_MAX_IN; i++)
        if (node->din[i] >= 0) fn(user, node->din[i], true);
}

/* An output written in place is another name for its input's storage. */
static void share_storage(qn_graph *graph, int id, int with)
{
    graph->tensors[id]->root = graph->tensors[with]->root;
    graph->tensors[id]->offset = graph->tensors[with]->offset;
    graph->tensors[id]->store = graph->tensors[with]->store;
    graph->tensors[id]->copy = graph->tensors[with]->copy;
}

/* A product with an activation is built as two ops, which are differentiated; the fusing pass joins
 * them again. */
static qn_status emit_product_and_act(qn_graph *graph, const qn_attr *attr, const int *inputs,
                                      int count, int *output)
{
    static const char *const acts[] = {"", "gelu", "gelu erf=1", "silu", "relu", "tanh"};
    char line[64];
    int product;
    snprintf(line, sizeof line, "matmul trans_a=%d trans_b=%d", (int)attr[0].i, (int)attr[1].i);
    QN_TRY(qn__graph_emit(graph, line, inputs, count, &product));
    return qn__graph_emit(graph, acts[attr[2].i], &product, 1, output);
}

qn_status qn__graph_emit(qn_graph *graph, const char *line, const int *inputs, int count,
                         int *output)
{
    qn_call call = {.caps = &graph->store->caps};
    qn_op_id id;
    qn_node *node;
    QN_TRY(qn__op_parse(line, &id, call.attr, NULL));
    if (id == QN_OP_MATMUL && call.attr[2].i != 0)
        return emit_product_and_act(graph, call.attr, inputs, count, output);
    const qn_op_row *row = qn__op_row(id);
    QN_CHECK(count <= row->in_count, "%s: %d inputs given; it takes at most %d", row->stem, count,
             row->in_count);
    call.op = qn__op(id);
    bool wants_grad = false;
    for (int i = 0; i < count; i++) {
        call.in[i] = operand_of(graph, inputs[i]);
        int stored = inputs[i] >= 0 ? graph->tensors[inputs[i]]->store : -1;
        QN_CHECK(stored < 0 || !qn__store_is_host(graph->store, stored),
                 "%s: input %s is in host memory: fetch it first", row->stem, row->in[i].name);
        bool written = row->gradient == QN_GRAD_NONE && row->in[i].in_place;
        if (inputs[i] >= 0 && !row->in[i].integer && !row->in[i].constant && !written)
            wants_grad |= graph->tensors[inputs[i]]->wants_grad;
    }
    QN_TRY(qn__call_shape(&call));
    QN_TRY(qn__graph_new_node(graph, &node));
    int at = graph->node_count - 1;
    node->op = (int)id;
    memcpy(node->attr, call.attr, sizeof node->attr);
    for (int i = 0; i < count; i++) node->in[i] = inputs[i];
    for (int o = 0; o < row->out_count; o++) {
        int tensor;
        if (!call.out[o].there) continue;
        QN_TRY(qn__graph_new_tensor(graph, &call.out[o].desc, &tensor));
        graph->nodes[at].out[o] = tensor;
        graph->tensors[tensor]->wants_grad = wants_grad && !row->out[o].saved;
        if (row->alias[o] >= 0) share_storage(graph, tensor, inputs[row->alias[o]]);
    }
    *output = graph->nodes[at].out[0];
    return QN_OK;
}

qn_status qn__graph_view(qn_graph *graph, int tensor, const qn_shape *shape, int *output)
{
    const qn_tensor *from = graph->tensors[tensor];
    qn_node *node;
    QN_TRY(qn__shape_check(shape, from->desc.dtype));
    QN_CHECK(qn_shape_elements(shape) == qn_shape_elements(&from->desc.shape),
             "reshape: %lld elements cannot become %lld",
             (long long)qn_shape_elements(&from->desc.shape), (long long)qn_shape_elements(shape));
    qn_desc desc = {.dtype = from->desc.dtype, .layout = QN_ROWS, .shape = *shape};
    QN_TRY(qn__graph_new_tensor(graph, &desc, output));
    graph->tensors[*output]->wants_grad = from->wants_grad;
    share_storage(graph, *output, tensor);
    QN_TRY(qn__graph_new_node(graph, &node));
    node->op = QN_RESHAPE;
    node->in[0] = tensor;
    node->out[0] = *output;
    return QN_OK;
}

static uint64_t row_bytes(const qn_desc *desc)
{
    qn_desc row = *desc;
    row.shape.dim[0] = 1;
    return qn__desc_bytes(&row);
}

static qn_status check_rows(const qn_desc *desc, int64_t first, int64_t count)
{
    QN_CHECK(desc->shape.rank >= 1 && first >= 0 && count >= 0 && first <= desc->shape.dim[0] &&
                 count <= desc->shape.dim[0] - first,
             "rows [%lld, +%lld) are not all there", (long long)first, (long long)count);
    return QN_OK;
}

qn_status qn__graph_rows_of(qn_graph *graph, int tensor, int64_t first, int64_t count, int *output)
{
    qn_desc desc = graph->tensors[tensor]->desc;
    QN_TRY(check_rows(&desc, first, count));
    desc.shape.dim[0] = count;
    QN_TRY(qn__graph_new_tensor(graph, &desc, output));
    graph->tensors[*output]->wants_grad = graph->tensors[tensor]->wants_grad;
    share_storage(graph, *output, tensor);
    graph->tensors[*output]->offset += (uint64_t)first * row_bytes(&desc);
    return QN_OK;
}

qn_status qn__graph_join(qn_graph *graph, int part, int whole, int64_t first)
{
    if (graph->tensors[part]->root != part || graph->tensors[part]->store >= 0)
        QN_TRY(qn__graph_emit(graph, "copy", &part, 1, &part));
    const qn_desc *desc = &graph->tensors[part]->desc;
    QN_TRY(check_rows(&graph->tensors[whole]->desc, first, desc->shape.dim[0]));
    QN_CHECK(row_bytes(desc) == row_bytes(&graph->tensors[whole]->desc),
             "rows of %llu bytes do not join rows of %llu", (unsigned long long)row_bytes(desc),
             (unsigned long long)row_bytes(&graph->tensors[whole]->desc));
    uint64_t offset = (uint64_t)first * row_bytes(desc) + graph->tensors[whole]->offset;
    for (int i = 0; i < graph->tensor_count; i++) {
        qn_tensor *t = graph->tensors[i];
        if (t->root != part) continue;
        t->root = graph->tensors[whole]->root;
        t->store = graph->tensors[whole]->store;
        t->offset += offset;
    }
    return QN_OK;
}

qn_status qn__graph_all_reduce(qn_graph *graph, int tensor, qn_comm_op op, int *output)
{
    const qn_desc *desc = &graph->tensors[tensor]->desc;
    qn_node *node;
    QN_CHECK(desc->dtype == QN_F32, "all_reduce: the tensor is %s; it must be f32",
             qn_dtype_name(desc->dtype));
    QN_TRY(qn__graph_new_tensor(graph, desc, output));
    share_storage(graph, *output, tensor);
    QN_TRY(qn__graph_new_node(graph, &node));
    node->op = QN_OP_COMM;
    node->attr[0].i = (int64_t)op;
    node->in[0] = tensor;
    node->out[0] = *output;
    return QN_OK;
}

void qn__graph_begin_block(qn_graph *graph, int block)
{
    graph->block = block;
}

qn_store *qn__graph_store(const qn_graph *graph)
{
    return graph->store;
}

/* ---- the public door ---- */

qn_tensor *qn_graph_apply(qn_graph *graph, const char *line, qn_tensor *const *inputs, size_t count)
{
    int ids[QN_OP_MAX_IN], output = -1;
    if (graph->status != QN_OK) return NULL;
    if (count > QN_OP_MAX_IN) {
        note(graph, qn__fail(QN_BAD_ARGUMENT, "%s: %zu inputs given; no op takes more than %d",
                             line, count, QN_OP_MAX_IN));
        return NULL;
    }
    for (size_t i = 0; i < count; i++) ids[i] = inputs[i] ? inputs[i]->id : -1;
    qn_status status = qn__graph_emit(graph, line, ids, (int)count, &output);
    return note(graph, status) == QN_OK && output >= 0 ? graph->tensors[output] : NULL;
}

qn_tensor *qn__graph_output(qn_tensor *first, int output)
{
    if (!first || first->graph->status != QN_OK) return NULL;
    const qn_graph *graph = first->graph;
    for (int i = graph->node_count - 1; i >= 0; i--)
        if (graph->nodes[i].out[0] == first->id && graph->nodes[i].out[output] >= 0)
            return graph->tensors[graph->nodes[i].out[output]];
    return NULL;
}

qn_tensor *qn_graph_reshape(qn_graph *graph, qn_tensor *tensor, const qn_shape *shape)
{
    int output = -1;
    if (graph->status != QN_OK || !tensor) return NULL;
    return note(graph, qn__graph_view(graph, tensor->id, shape, &output)) == QN_OK
               ? graph->tensors[output]
               : NULL;
}

const qn_shape *qn_tensor_shape(const qn_tensor *tensor)
{
    return &tensor->desc.shape;
}

static qn_tensor *from_store(qn_graph *graph, const char *name, bool weight, bool rows)
{
    int id = -1, index = qn__store_index(graph->store, name);
    if (graph->status != QN_OK) return NULL;
    if (index < 0) {
        note(graph, qn__fail(QN_BAD_ARGUMENT, "the store has no tensor \"%s\"", name));
        return NULL;
    }
    if (note(graph, qn__graph_new_tensor(graph, &graph->store->tensors[index].desc, &id)) != QN_OK)
        return NULL;
    qn_tensor *tensor = graph->tensors[id];
    tensor->store = index;
    tensor->wants_grad = weight;
    tensor->rows = rows;
    if (!rows) return tensor;
    int64_t bound = tensor->desc.shape.rank > 0 ? tensor->desc.shape.dim[0] : 0;
    if (bound <= 0 || (graph->rows > 0 && graph->rows != bound)) {
        note(graph,
             qn__fail(QN_BAD_ARGUMENT, "\"%s\": run-time rows of at most %lld, but %lld elsewhere",
                      name, (long long)bound, (long long)graph->rows));
        return NULL;
    }
    graph->rows = bound;
    return tensor;
}

qn_tensor *qn_graph_input(qn_graph *graph, const char *name)
{
    return from_store(graph, name, false, false);
}

qn_tensor *qn__graph_copy(qn_graph *graph, const char *name, int copy)
{
    qn_tensor *tensor = from_store(graph, name, false, false);
    if (tensor) tensor->copy = copy;
    return tensor;
}

qn_tensor *qn_graph_weight(qn_graph *graph, const char *name)
{
    return from_store(graph, name, true, false);
}

qn_tensor *qn_graph_rows(qn_graph *graph, const char *name)
{
    return from_store(graph, name, false, true);
}

/* Rename the storage of a step tensor to the store's; copy where the storage is not its own to
 * give. */
qn_status qn_graph_assign(qn_graph *graph, qn_tensor *tensor, const char *name)
{
    QN_TRY(qn_graph_status(graph));
    QN_CHECK(tensor != NULL, "nothing to assign to \"%s\"", name);
    int index = qn__store_index(graph->store, name), id = tensor->id;
    QN_CHECK(index >= 0, "the store has no tensor \"%s\"", name);
    const qn_desc *to = &graph->store->tensors[index].desc;
    QN_CHECK(to->dtype == tensor->desc.dtype &&
                 qn_shape_elements(&to->shape) == qn_shape_elements(&tensor->desc.shape),
             "\"%s\" has another dtype or size than the tensor assigned to it", name);
    if (graph->tensors[id]->store == index) return QN_OK; /* written in place there already */
    if (graph->tensors[id]->store >= 0) QN_TRY(qn__graph_emit(graph, "copy", &id, 1, &id));
    int root = graph->tensors[id]->root;
    for (int i = 0; i < graph->tensor_count; i++)
        if (graph->tensors[i]->root == root) graph->tensors[i]->store = index;
    return QN_OK;
}
