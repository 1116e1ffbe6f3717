/* Product with stacked matrices, one element of y an item: y[p, i] = sum over k of x[p / share, k]
 * w[expert of p, i, k], one fma chain, k ascending. Grid: (i in groups of 64, pieces of one pair).
 */
#include "common.clh"
#include "expert_rows.clh"

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void
expert_matmul(QN_OUT(float, y), QN_IN(float, x), QN_IN(float, w), const int pairs, const int cols,
              const int depth, QN_EXPERT_PARAMS)
{
    QN_FIND_EXPERT(1, pairs);
    const int i = (int)get_global_id(0);
    if (i >= cols || from >= to) return;
    __global const float *px = QN_AT(x) + (ulong)QN_X_ROW(from) * depth;
    __global const float *pw = QN_AT(w) + ((ulong)expert * cols + i) * depth;
    float sum = 0.0f;
    for (int k = 0; k < depth; k++) sum = QN_FMA(px[k], pw[k], sum);
    QN_AT(y)[(ulong)QN_Y_ROW(from) * cols + i] = sum;
}
