/* Tensors, graphs of ops, gradients, plans: define any network, train it, run it.
 *
 *   qn_store_create -> qn_store_add ... -> qn_store_allocate        what lasts: weights, inputs,
 * outputs qn_graph_create -> qn_graph_input / qn_graph_weight, qn_apply   what is computed
 *   qn_graph_backward, qn_graph_assign                              gradients, results into the
 * store qn_plan_create -> qn_plan_run, again and again                  nothing is allocated during
 * a run
 *
 * A store and everything made from it belongs to one thread at a time. */
#ifndef QUERNEL_GRAPH_H
#define QUERNEL_GRAPH_H

#include <quernel/device.h>
#include <quernel/tensor.h>
#include <stddef.h>

typedef struct qn_store qn_store;
typedef struct qn_graph qn_graph;
typedef struct qn_tensor qn_tensor;
typedef struct qn_plan qn_plan;

/* ---- stores ---- */

/* Owns lasting tensors by name, and the memory that plans share. Parent of graphs and plans:
 * destroy those first. */
QN_API qn_status qn_store_create(qn_device *device, qn_store **store) QN_MUST_USE;
QN_API void qn_store_destroy(qn_store **store);

/* Declare a tensor. Names are unique; tensors of one group lie together ("" is a group). */
QN_API qn_status qn_store_add(qn_store *store, const char *group, const char *name, qn_dtype dtype,
                              const qn_shape *shape) QN_MUST_USE;
/* Make the memory of all declared tensors, zero-filled. Tensors declared later need another call.
 */
QN_API qn_status qn_store_allocate(qn_store *store) QN_MUST_USE;

/* Whole tensor, row-major; bytes must be its size. Ordered after everything enqueued. */
QN_API qn_status qn_store_write(qn_store *store, const char *name, const void *data,
                                size_t bytes) QN_MUST_USE;
QN_API qn_status qn_store_read(qn_store *store, const char *name, void *data,
                               size_t bytes) QN_MUST_USE;
/* QN_BAD_ARGUMENT when there is no such tensor. dtype and shape may be NULL. */
QN_API qn_status qn_store_find(const qn_store *store, const char *name, qn_dtype *dtype,
                               qn_shape *shape) QN_MUST_USE;

/* ---- graphs ---- */

QN_API qn_status qn_graph_create(qn_store *store, qn_graph **graph) QN_MUST_USE;
QN_API void qn_graph_destroy(qn_graph **graph);

/* Building functions return NULL after a failure, and go on returning NULL: ask once, at the end.
 */
QN_API qn_status qn_graph_status(const qn_graph *graph) QN_MUST_USE;

/* A tensor of the store: input is not differentiated, weight is. */
QN_API qn_tensor *qn_graph_input(qn_graph *graph, const char *name);
QN_API qn_tensor *qn_graph_weight(qn_graph *graph, const char *name);
/* An input whose first dimension is the run-time one: at most as declared, its value is given to
 * qn_plan_run. */
QN_API qn_tensor *qn_graph_rows(qn_graph *graph, const char *name);

/* Apply an op: `line` is its name and attributes, "matmul trans_b=1"; inputs in the order of its
 * row in op_list.def, QN_NONE for one that is absent. The result is its first output. */
#define qn_apply(graph, line, ...)                                                                 \
    qn_graph_apply(graph, line, (qn_tensor *const[]){__VA_ARGS__},                                 \
                   sizeof((qn_tensor *const[]){__VA_ARGS__}) / sizeof(qn_tensor *))
#define QN_NONE ((qn_tensor *)0)
QN_API qn_tensor *qn_graph_apply(qn_graph *graph, const char *line, qn_tensor *const *inputs,
                                 size_t count);
/* The same elements under another shape; no copy. */
QN_API qn_tensor *qn_graph_reshape(qn_graph *graph, qn_tensor *tensor, const qn_shape *shape);
QN_API const qn_shape *qn_tensor_shape(const qn_tensor *tensor);

/* Add the backward pass of `loss`, whose own gradient is `seed` (same shape). Call once, after the
 * forward pass. */
QN_API qn_status qn_graph_backward(qn_graph *graph, qn_tensor *loss, qn_tensor *seed) QN_MUST_USE;
/* After qn_graph_backward: the gradient of a weight handle or of any tensor on its way; NULL when
 * there is none. */
QN_API qn_tensor *qn_graph_gradient(qn_graph *graph, qn_tensor *tensor);

/* Have `tensor` end up in the store's tensor `name` (same dtype and element count). What is not
 * assigned, and leads to nothing that is, is not computed. */
QN_API qn_status qn_graph_assign(qn_graph *graph, qn_tensor *tensor, const char *name) QN_MUST_USE;

/* ---- plans ---- */

/* What the backward pass makes again instead of keeping it from the forward pass; the same bits. */
typedef enum qn_recompute {
    QN_KEEP_ALL,
    QN_RECOMPUTE_CHEAP, /* what costs little and follows from what is kept: norms, activations */
    QN_RECOMPUTE_BLOCK  /* all but the inputs of transformer blocks */
} qn_recompute;

typedef struct qn_plan_options {
    uint32_t size;       /* sizeof(qn_plan_options) */
    int slots;           /* micro-batches in flight, 1 */
    bool keep_unfused;   /* leave out the fusing passes */
    const char *variant; /* force this variant wherever it applies ("plain") */
    const char *tune;    /* "off", "read" or "on" (see tune.h); NULL: $QN_TUNE, else read */
    double tune_seconds; /* what "on" may take when the plan is prepared; 0: 30 */
    qn_recompute recompute;
} qn_plan_options;

/* Fuse, choose kernels, place tensors: pure, touches no device. options may be NULL. */
QN_API qn_status qn_plan_create(qn_graph *graph, const qn_plan_options *options,
                                qn_plan **plan) QN_MUST_USE;
QN_API void qn_plan_destroy(qn_plan **plan);

typedef struct qn_plan_facts {
    uint64_t store_bytes;   /* all lasting tensors of the store */
    uint64_t step_bytes;    /* activations, all slots */
    uint64_t scratch_bytes; /* workspace of the hungriest kernel */
    uint64_t total_bytes; /* of the store and of every plan made from it so far: they share step and
                             scratch */
    int nodes, programs, kernels;
    double flops, bytes, predicted_seconds;
    double matrix_flops; /* of matrix products and attention only: what percentages of peak count */
} qn_plan_facts;
QN_API void qn_plan_facts_get(const qn_plan *plan, qn_plan_facts *facts);
/* The facts, arenas, every tensor with its place and life, every node as a case line: JSON, free
 * with qn_free. */
QN_API qn_status qn_plan_json(const qn_plan *plan, char **json) QN_MUST_USE;

/* Make the shared memory and build the programs; qn_plan_run does it the first time otherwise. */
QN_API qn_status qn_plan_prepare(qn_plan *plan) QN_MUST_USE;

typedef enum qn_plan_part { QN_ALL, QN_FORWARD, QN_BACKWARD } qn_plan_part;

/* Enqueue; does not wait. rows: the run-time dimension (0: as declared). slot: which micro-batch.
 */
QN_API qn_status qn_plan_run(qn_plan *plan, qn_plan_part part, int64_t rows, int slot) QN_MUST_USE;

/* Time by op since the plan was made, on a device opened with profile: JSON, free with qn_free. */
QN_API qn_status qn_plan_profile(qn_plan *plan, char **json) QN_MUST_USE;

#endif
