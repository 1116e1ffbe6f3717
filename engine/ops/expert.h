/* What the products with stacked matrices share: their shapes, their grids, their arguments. */
#ifndef QN_OPS_EXPERT_H
#define QN_OPS_EXPERT_H

#include "ops/exec.h"

/* Pairs (row, choice) of `order` [R, J]. */
int64_t qn__expert_pairs(const qn_operand *order);
/* Rows of input `in` that a pair of `order` reads: [R, K] is shared by the J pairs of a row, [R, J,
 * K] has one for each. */
int64_t qn__expert_share(const qn_call *call, int in, int order);
/* order and groups are what expert_sort makes for `experts`, and x fits them. */
qn_status qn__expert_check(const qn_call *call, int x, int order, int groups,
                           int64_t experts) QN_MUST_USE;
/* Shape of a result of `cols` columns, [R, J, cols]. */
qn_shape qn__expert_shape(const qn_call *call, int order, int64_t cols);
/* The most pieces of `unit` pairs that there can be. */
int64_t qn__expert_pieces(const qn_call *call, int order, int64_t experts, int64_t unit);
/* The arguments QN_EXPERT_PARAMS. */
void qn__expert_arguments(qn_exec *exec, const qn_call *call, int x, int order, int groups);
/* Bytes that a stack is read with: those of the matrices that the pairs can name. */
double qn__expert_bytes(const qn_call *call, int stack, int order);

#endif
