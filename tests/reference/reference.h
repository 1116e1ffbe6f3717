/* The independent judge: every op again, in doubles and plain loops, sharing nothing with the
 * engine. Read engine/ops/op_list.def for the meaning of inputs, outputs and attributes; their
 * order is that of the row. */
#ifndef QN_TESTS_REFERENCE_H
#define QN_TESTS_REFERENCE_H

#include <stdint.h>

enum { REF_RANK = 4, REF_IN = 8, REF_OUT = 4, REF_ATTR = 6 };

typedef struct ref_tensor {
    int rank;
    int64_t dim[REF_RANK];
    double *d;        /* row-major; integers are stored as doubles too; of blocks, their bytes */
    const char *type; /* "f32", "q4_K" */
} ref_tensor;

typedef struct ref_call {
    double attr[REF_ATTR];        /* in the row's order; a word is its position in the list */
    const ref_tensor *in[REF_IN]; /* NULL: absent */
    ref_tensor *out[REF_OUT]; /* shapes are set; NULL: not wanted. Saved outputs are not here. An
                                 in-place output is a tensor of its own: copy, then change it */
    const ref_tensor *dout[REF_OUT]; /* bwd: gradients of the outputs, NULL: zero */
    ref_tensor
        *din[REF_IN]; /* bwd: filled with gradients of the inputs; NULL: not wanted. Start from 0 */
} ref_call;

/* ref_<stem>_fwd for each row, ref_<stem>_bwd for each row that has a gradient. */
typedef void ref_fn(const ref_call *call);

#define REF_GRAD_KERNEL(stem) ref_fn ref_##stem##_bwd;
#define REF_GRAD_GRAPH(stem) ref_fn ref_##stem##_bwd;
#define REF_GRAD_NONE(stem)
#define QN_OP(stem, NAME, in, out, attrs, gradient, recompute)                                     \
    ref_fn ref_##stem##_fwd;                                                                       \
    REF_GRAD_##gradient(stem)
#include "ops/op_list.def"
#undef QN_OP

#endif
