/* Product with stacked matrices, 16 columns of y and QN_RT rows an item; the sums are those of the
 * plain kernel. Tuning: QN_RT rows of x at once. */
#define QN_W 16
#include "common.clh"
#include "expert_rows.clh"

#ifndef QN_RT
#define QN_RT 1
#endif
#define QN_SAME(n) __attribute__((opencl_unroll_hint(n)))

/* The element at w of 16 rows; rows past `last` read that one. */
inline __attribute__((always_inline)) float16 qn_down(__global const float *w, const int last,
                                                      const int depth)
{
    float down[16];
    QN_SAME(16) for (int j = 0; j < 16; j++) down[j] = w[(ulong)min(j, last) * depth];
    return vload16(0, down);
}

/* Grid: (columns of y by 16, pieces of QN_RT pairs). */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
expert_matmul(QN_OUT(float, y), QN_IN(float, x), QN_IN(float, w), const int pairs, const int cols,
              const int depth, QN_EXPERT_PARAMS)
{
    QN_FIND_EXPERT(QN_RT, pairs);
    const int first = (int)get_group_id(0) * 16;
    const int last = cols - 1 - first;
    __global const float *pw = QN_AT(w) + ((ulong)expert * cols + first) * depth;
    ulong x_from[QN_RT];
    float16 sum[QN_RT];
    QN_SAME(QN_RT) for (int r = 0; r < QN_RT; r++)
    {
        x_from[r] = (ulong)QN_X_ROW(from + r) * depth;
        sum[r] = (float16)(0.0f);
    }
    for (int k = 0; k < depth; k++) {
        const float16 v = qn_down(pw + k, last, depth);
        QN_SAME(QN_RT)
        for (int r = 0; r < QN_RT; r++)
            sum[r] = QN_FMA((float16)(QN_AT(x)[x_from[r] + k]), v, sum[r]);
    }
    QN_SAME(QN_RT) for (int r = 0; r < QN_RT; r++) if (from + r < to)
    {
        __global float *at = QN_AT(y) + (ulong)QN_Y_ROW(from + r) * cols + first;
        QN_STORE(sum[r], at, cols - first);
    }
}
