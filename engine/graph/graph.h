/* Inside a graph: tensors and nodes in the order they were made, which is an order of execution. */
#ifndef QN_GRAPH_GRAPH_H
#define QN_GRAPH_GRAPH_H

#include "graph/comm.h"
#include "graph/store.h"
#include "ops/op.h"

/* Node kinds without a kernel. QN_OP_COMM: a collective over in[0], in place, through the interface
 * of comm.h that the plan was given; attr[0].i is the qn_comm_op. */
/* QN_OP_FETCH: in[0], a tensor in host memory, into out[0], in the step arena; QN_OP_SEND: back. */
enum { QN_RESHAPE = -1, QN_OP_COMM = -2, QN_OP_FETCH = -3, QN_OP_SEND = -4 };

struct qn_tensor {
    qn_graph *graph;
    int id;
    qn_desc desc;
    int root; /* id of the tensor whose storage this is (itself, or what was reshaped or written in
                 place) */
    uint64_t offset; /* bytes from where that storage begins: a view of some rows */
    int store;       /* of the root: index in the store, or -1: lives in the step arena */
    int copy;  /* of a stored tensor whose group has copies: that many after the current one */
    bool rows; /* input whose first dimension is the run-time one */
    bool wants_grad; /* a weight, or computed from one */
    int grad;        /* id of its gradient; -1 */
    int carry; /* id of a stored f32 sum that its gradient is added to; -1: starts from nothing */
};

typedef struct qn_node {
    int op;           /* qn_op_id, QN_RESHAPE or QN_OP_COMM (in[0] -> out[0]) */
    bool backward;    /* runs op->bwd */
    bool in_backward; /* belongs to the backward half */
    bool dead;
    bool again; /* makes an activation for the second time */
    int block;  /* transformer block, from 1; 0: none */
    qn_attr attr[QN_OP_MAX_ATTR];
    int in[QN_OP_MAX_IN];   /* tensor ids; -1 absent */
    int out[QN_OP_MAX_OUT]; /* forward: made here; backward: read */
    int dout[QN_OP_MAX_OUT];
    int din[QN_OP_MAX_IN];
} qn_node;

struct qn_graph {
    qn_store *store;
    qn_status status;
    char *message; /* of the first failure */
    qn_tensor **tensors;
    int tensor_count, tensor_capacity;
    qn_node *nodes;
    int node_count, node_capacity;
    bool building_backward;
    int block;     /* of nodes made now */
    bool chaining; /* gradients of parts: sums continue */
    int64_t rows;  /* upper bound of the run-time dimension; 0: none */
};

qn_status qn__graph_new_tensor(qn_graph *graph, const qn_desc *desc, int *id) QN_MUST_USE;
qn_status qn__graph_new_node(qn_graph *graph, qn_node **node) QN_MUST_USE;
/* Apply an op to tensor ids; its outputs (saved ones included) are made. *output: the first. */
qn_status qn__graph_emit(qn_graph *graph, const char *line, const int *inputs, int count,
                         int *output) QN_MUST_USE;
/* Another output of the op whose first is `first`; NULL where it has none. */
qn_tensor *qn__graph_output(qn_tensor *first, int output);
qn_status qn__graph_view(qn_graph *graph, int tensor, const qn_shape *shape,
                         int *output) QN_MUST_USE;
/* All ranks' f32 tensors reduced into every rank's, in place; not differentiated. Collective. */
qn_status qn__graph_all_reduce(qn_graph *graph, int tensor, qn_comm_op op, int *output) QN_MUST_USE;
/* A copy in the step arena of what lies in host memory (a stored tensor of a host group, or rows of
 * one), and the way back. Not differentiated. */
qn_status qn__graph_fetch(qn_graph *graph, int from, int *output) QN_MUST_USE;
qn_status qn__graph_send(qn_graph *graph, int tensor, int to) QN_MUST_USE;
/* Rows [first, first + count) of a tensor, the same storage; a tensor that leads the gradient
 * nowhere by itself: see qn__graph_backward_part. */
qn_status qn__graph_rows_of(qn_graph *graph, int tensor, int64_t first, int64_t count,
                            int *output) QN_MUST_USE;
/* Let `part`, a result nobody else's storage depends on, be made where rows first.. of `whole` lie;
 * where its storage is not its own, a copy of it. */
qn_status qn__graph_join(qn_graph *graph, int part, int whole, int64_t first) QN_MUST_USE;
/* Differentiate what was built since node `from`, now: the gradients of what it read are there
 * next, and gradients of weights go on summing when it is done again for another part. Sums over
 * rows continue the chain of the part before (matmul's input c), so that parts in ascending order
 * give the bits of the whole. */
qn_status qn__graph_backward_part(qn_graph *graph, int from, int loss, int seed) QN_MUST_USE;
/* The rest: nodes before `until`, from the gradient `seed` of tensor `from`. Ends the graph's
 * backward pass, as qn_graph_backward does. */
qn_status qn__graph_backward_rest(qn_graph *graph, int until, int from, int seed) QN_MUST_USE;
/* Fill a call's descs (not buffers) from a node. */
void qn__node_call(const qn_graph *graph, const qn_node *node, qn_call *call);

/* Does this tensor lie in a place of the step arena that is its own? */
static inline bool qn__own_storage(const qn_graph *graph, int id)
{
    return graph->tensors[id]->root == id && graph->tensors[id]->store < 0;
}

/* Passes over a node list that the plan owns a copy of. */
void qn__pass_fuse(qn_graph *graph, qn_node *nodes, int count);
/* Part of it; reads: of each tensor's storage. */
void qn__pass_fuse_quantized(const qn_graph *graph, qn_node *nodes, int count, const int *reads);
/* Replaces the list: it grows. */
qn_status qn__pass_recompute(qn_graph *graph, qn_recompute mode, qn_node **nodes,
                             int *count) QN_MUST_USE;
void qn__pass_drop_dead(const qn_graph *graph, qn_node *nodes, int count);

/* Calls fn with every tensor id a node reads, then with every one it writes. */
void qn__node_each(const qn_node *node, void (*fn)(void *user, int tensor, bool write), void *user);

#endif
