/* How launchers speak: begin a kernel, add its arguments, run it. The same calls record what a plan
 * will build, without a device, and later launch it. Errors stick and come back from qn__exec_run.
 */
#ifndef QN_OPS_EXEC_H
#define QN_OPS_EXEC_H

#include "ops/op.h"

/* Receives (file, options, kernel) of every launch while recording. */
typedef void (*qn_record_fn)(void *user, const char *file, const char *options, const char *kernel);

struct qn_exec {
    qn_device *device;   /* NULL: recording only */
    qn_record_fn record; /* recording when set */
    void *record_user;
    qn_kernel **bound; /* kernels of one node in launch order, found on its first run; owned */
    int bound_count, bound_capacity;
    int cursor;        /* 0 before each run of the node */
    int tag;           /* for profiling */
    qn_kernel *kernel; /* being set up */
    int arg;
    qn_status status;
};

/* Kernel `name` of this call's own file, "<stem>.cl", "<stem>.wide.cl", ...; options as printf. */
void qn__exec_begin(qn_exec *exec, const qn_call *call, const char *name, const char *options, ...)
    QN_PRINTF(4, 5);
/* The option QN_DOT of dot.clh for the kernels of this call. */
const char *qn__exec_dot(const qn_call *call);
/* Of another file. */
void qn__exec_begin_file(qn_exec *exec, const char *file, const char *name, const char *options);
/* Buffer and offset in elements; an absent operand passes a placeholder. */
void qn__exec_tensor(qn_exec *exec, const qn_operand *operand);
/* Part of the scratch: `offset` bytes into it, as elements of 4 bytes; or of another type. */
void qn__exec_scratch(qn_exec *exec, const qn_call *call, uint64_t offset);
void qn__exec_scratch_as(qn_exec *exec, const qn_call *call, uint64_t offset, qn_dtype dtype);
void qn__exec_i32(qn_exec *exec, int64_t value); /* checked to fit */
void qn__exec_u64(qn_exec *exec, uint64_t value);
void qn__exec_f32(qn_exec *exec, double value);
/* groups x local items; up to three dimensions. */
qn_status qn__exec_run(qn_exec *exec, int dims, const size_t *groups,
                       const size_t *local) QN_MUST_USE;
qn_status qn__exec_run1(qn_exec *exec, int64_t groups, int64_t local) QN_MUST_USE;
qn_status qn__exec_run2(qn_exec *exec, int64_t groups0, int64_t groups1,
                        int64_t local0) QN_MUST_USE;
/* The grid of QN_EACH over n elements (adds the argument n). */
qn_status qn__exec_elementwise(qn_exec *exec, const qn_call *call, int64_t n) QN_MUST_USE;
/* The grid of QN_PUT_EACH over blocks of 32 elements (adds the argument n). */
qn_status qn__exec_blocks(qn_exec *exec, const qn_call *call, int64_t blocks) QN_MUST_USE;
/* What QN_W is in this variant's kernels: 1, 4 or 16. */
int64_t qn__exec_width(const qn_call *call);
/* n items (adds the argument n): in groups of 64, wide one a group. */
qn_status qn__exec_items(qn_exec *exec, const qn_call *call, int64_t n) QN_MUST_USE;
/* The rows of rows.clh (adds the argument rows): one item a row, tile 16. */
qn_status qn__exec_rows(qn_exec *exec, const qn_call *call, int64_t rows) QN_MUST_USE;
/* Finishes a kernel written with QN_COLUMN_PART (adds cols, runs it over (column vectors, parts of
 * 64 rows) with its parts at scratch + scratch_offset), then adds the parts into `sum` [cols]. */
qn_status qn__exec_column_parts(qn_exec *exec, const qn_call *call, const qn_operand *sum,
                                uint64_t scratch_offset, int64_t rows, int64_t cols) QN_MUST_USE;
/* Scratch bytes of one such sum. */
uint64_t qn__column_parts_bytes(int64_t rows, int64_t cols);
/* Enqueue zeros over a tensor. */
qn_status qn__exec_zero(qn_exec *exec, const qn_operand *operand) QN_MUST_USE;

void qn__exec_free(qn_exec *exec);

/* One forward call by itself, outside any plan: choose a variant that needs no scratch, enqueue.
 * The outputs' memory is set. */
qn_status qn__call_run(qn_device *device, qn_call *call) QN_MUST_USE;

#endif
