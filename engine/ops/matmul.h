/* What the variants of matmul share: the product behind a call, and the end of every kernel. */
#ifndef QN_OPS_MATMUL_H
#define QN_OPS_MATMUL_H

#include "base/checked.h"
#include "ops/exec.h"

enum { A, B, BIAS, C, ONTO, ONTO_LAST = ONTO + 2 };
enum { Y, PRE };
enum { TRANS_A, TRANS_B, ACT, OUT };
/* Larger than the caches of a CPU's core: not read again soon, or slow to arrive. */
enum { QN_LARGE_BYTES = 2 << 20 };

/* The product with transpositions resolved to strides, all in elements. */
typedef struct product {
    int64_t m, n, k, batch;
    uint64_t a_row, a_col, b_row,
        b_col; /* a(m, k) = a[m a_row + k a_col], b(k, n) = b[k b_row + n b_col] */
    uint64_t a_batch, b_batch, y_batch;
} product;

product qn__product(const qn_call *call);
/* The epilogue's meaning, the same macros for every kernel. */
void qn__product_epilogue(const qn_call *call, char *text, size_t bytes);
/* Arguments y, pre, s, v (NULL: the scratch), bias, c. */
void qn__product_tensors(qn_exec *exec, const qn_call *call, const qn_operand *s,
                         const qn_operand *v);

/* Calls `one` for rows (or members of the batch) of the product that make a launch short enough:
 * tensors moved on, sizes theirs. */
typedef qn_status (*qn_product_launch)(qn_exec *exec, const qn_call *call, const product *p);
qn_status qn__product_in_parts(qn_exec *exec, const qn_call *call,
                               qn_product_launch one) QN_MUST_USE;

/* Products of bf16 on a CPU's bf16 dot product, on its tile unit, and in that one's order by plain
 * loops (matmul_matrix.c). */
const char *qn__product_refuse_matrix(const qn_call *call);
const char *qn__product_refuse_amx(const qn_call *call);
const char *qn__product_refuse_amx_scalar(const qn_call *call);
uint64_t qn__product_scratch_matrix(const qn_call *call);
qn_status qn__product_fwd_matrix(qn_exec *exec, const qn_call *call) QN_MUST_USE;

/* Products of 16-bit elements on a GPU's matrix units, and in their tiling by plain loops
 * (matmul_units.c). */
extern const qn_setting qn__product_units_settings[];
const char *qn__product_refuse_units(const qn_call *call);
const char *qn__product_refuse_scalar(const qn_call *call);
int qn__product_units_preset(const qn_call *call);
const char *qn__product_refuse_units_setting(const qn_call *call, int setting);
qn_status qn__product_fwd_units(qn_exec *exec, const qn_call *call) QN_MUST_USE;

#endif
