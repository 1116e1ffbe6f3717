/* Inside a store: groups of tensors in arenas, and the memory plans share. */
#ifndef QN_GRAPH_STORE_H
#define QN_GRAPH_STORE_H

#include "base/json.h"
#include "device/device.h"
#include "numeric/tensor.h"

#include <quernel/graph.h>

enum { QN_ALIGN = 128, QN_MAX_COPIES = 4096 };

/* Memory cut into buffers no larger than the device gives at once. */
typedef struct qn_arenas {
    int count;
    uint64_t bytes[64];
    qn_buffer *buffer[64];
    qn_host *host[64]; /* of a group in host memory, instead */
} qn_arenas;

typedef struct qn_store_group {
    char name[32];
    int copies; /* gradient tree: that many of everything, one of which is current */
    int current;
    bool host;         /* lives in host memory; passes through the device by fetches and sends */
    qn_arenas *arenas; /* one a copy, the same layout in each */
} qn_store_group;

typedef struct qn_store_tensor {
    char *name;
    qn_desc desc;
    int group;
    int arena;
    uint64_t offset;
    uint64_t version; /* raised by every write */
    int source;       /* derived: from this tensor by `packer`; -1 */
    char *packer;
    uint64_t source_version; /* of the source when last packed */
} qn_store_tensor;

struct qn_store {
    qn_device *device; /* NULL: planning for a device that is not there */
    qn_caps caps;
    qn_store_group *groups;
    int group_count;
    qn_store_tensor *tensors;
    int tensor_count, tensor_capacity;
    int *names; /* open addressing: tensor index + 1, by name hash */
    int name_capacity;
    uint64_t generation;    /* raised when an address may have changed */
    int slots;              /* of the shared step memory */
    uint64_t step_need[64]; /* bytes a slot and arena, the most of any plan */
    int step_arenas;
    uint64_t scratch_need;
    qn_buffer **step; /* [slots][64] */
    qn_buffer *scratch;
    int next_tag; /* profile tags given to plans so far */
};

qn_status qn__store_create(qn_device *device, const qn_caps *caps, qn_store **store) QN_MUST_USE;
/* qn_plan_profile of several plans of one store together. */
qn_status qn__plans_profile(qn_plan **plans, int count, char **json) QN_MUST_USE;
/* In which order each op of a plan adds: {"matmul": "chain", ...}, added to the object `orders`; an
 * op with several has "mixed". false: out of memory. */
bool qn__plan_orders(const qn_plan *plan, json_t *orders);
/* What is built from now on belongs to this transformer block, from 1; 0: to none. */
void qn__graph_begin_block(qn_graph *graph, int block);
qn_store *qn__graph_store(const qn_graph *graph);
/* A stored tensor as it is `copy` copies after the one that is current when the plan runs; NULL on
 * failure, which the graph notes. */
qn_tensor *qn__graph_copy(qn_graph *graph, const char *name, int copy);
/* Index of a tensor; -1 when there is none. */
int qn__store_index(const qn_store *store, const char *name);
/* Declare a tensor of any layout; its shape and type are checked. */
qn_status qn__store_add_desc(qn_store *store, const char *group, const char *name,
                             const qn_desc *desc) QN_MUST_USE;
/* How many copies of a group's tensors to keep; before allocation. */
qn_status qn__store_set_copies(qn_store *store, const char *group, int copies) QN_MUST_USE;
/* Let a group live in host memory; before allocation. It does not count as device memory, and ops
 * do not read it: see qn__graph_fetch. Reading and writing it by name is as ever. */
qn_status qn__store_set_host(qn_store *store, const char *group) QN_MUST_USE;
bool qn__store_is_host(const qn_store *store, int index);
/* Where a tensor of such a group begins, once allocated. */
void *qn__store_host_data(const qn_store *store, int index);
/* Bytes of such groups. */
uint64_t qn__store_host_bytes(const qn_store *store);
qn_status qn__store_select(qn_store *store, const char *group, int copy) QN_MUST_USE;
/* copy `into` += copy `from`, as the op add would: into + from, element by element. */
qn_status qn__store_merge(qn_store *store, const char *group, int into, int from) QN_MUST_USE;
/* A tensor made from another by a packer op ("pack trans=1"); plans make it again when the source
 * was written. */
qn_status qn__store_derive(qn_store *store, const char *name, const char *source,
                           const char *packer) QN_MUST_USE;
/* Bytes of every arena declared so far, allocated or not. */
uint64_t qn__store_bytes(const qn_store *store);
/* Find room for `bytes`: appends to the last arena or opens another. Pure arithmetic. */
qn_status qn__arenas_place(qn_arenas *arenas, uint64_t bytes, uint64_t limit, int *arena,
                           uint64_t *offset) QN_MUST_USE;
qn_buffer *qn__store_buffer(const qn_store *store, const qn_store_tensor *tensor);
/* The same `copy` copies on; NULL where there are no so many. */
qn_buffer *qn__store_buffer_at(const qn_store *store, const qn_store_tensor *tensor, int copy);
/* Make step and scratch memory as large as asked by all plans so far. */
qn_status qn__store_share(qn_store *store) QN_MUST_USE;
/* A whole tensor of f32, f16 or bf16 from or to `count` floats: rounded to nearest, or exact. */
qn_status qn__store_write_floats(qn_store *store, const char *name, const float *values,
                                 int64_t count) QN_MUST_USE;
qn_status qn__store_read_floats(qn_store *store, const char *name, float *values,
                                int64_t count) QN_MUST_USE;
/* Part of a tensor, in bytes. */
qn_status qn__store_write_part(qn_store *store, int index, uint64_t offset, const void *data,
                               uint64_t bytes) QN_MUST_USE;
qn_status qn__store_read_part(qn_store *store, int index, uint64_t offset, void *data,
                              uint64_t bytes) QN_MUST_USE;

/* From the start of a tensor, enqueued without waiting: `data` must stay until the queue has passed
 * it. */
qn_status qn__store_write_later(qn_store *store, int index, const void *data,
                                uint64_t bytes) QN_MUST_USE;
/* One arena of the group's current copy, whole (its bytes stand in the group). */
qn_status qn__store_read_group(qn_store *store, const char *group, int arena,
                               void *data) QN_MUST_USE;

#endif
