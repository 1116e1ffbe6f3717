/* Peak of a matrix unit: eight independent fragments of sums an item, nothing but registers between
 * the multiply-accumulates; groups of 4 units. Each round is 8 products of QN_FM x QN_FN x 16.
 * Meaning: QN_UNIT, QN_T as in matrix_unit.clh. */
#define QN_W 1
#ifndef QN_T
#define QN_T 2
#endif
#ifndef QN_UNIT
#define QN_UNIT 0
#endif
#include "common.clh"
#include "matrix_unit.clh"

#define QN_ITEMS (4 * QN_LANES)
#define QN_CHAINS 8

__kernel QN_UNIT_KERNEL __attribute__((reqd_work_group_size(QN_ITEMS, 1, 1))) void
peak_matrix(QN_OUT(float, out), const int rounds, const float a, const float b)
{
    __local ushort8 tile[16 * 24 / 8];
    __local ushort *words = (__local ushort *)tile;
    qn_frag_a left;
    qn_frag_b right;
    qn_frag_c acc[QN_CHAINS];
    for (int i = (int)get_local_id(0); i < 16 * 24; i += QN_ITEMS) QN_PUT(i % 2 ? a : b, words + i);
    barrier(CLK_LOCAL_MEM_FENCE);
    qn_load_a(&left, words, 24, 0, 0);
    qn_load_b(&right, words, 24, 0, 0);
    QN_UNROLL for (int j = 0; j < QN_CHAINS; j++) QN_UNROLL for (int i = 0; i < QN_C_COUNT; i++)
        QN_C(acc[j], i) = (float)j;
    for (int r = 0; r < rounds; r++)
        QN_UNROLL for (int j = 0; j < QN_CHAINS; j++) qn_mma(&acc[j], &left, &right);
    float sum = 0.0f;
    QN_UNROLL for (int j = 0; j < QN_CHAINS; j++) QN_UNROLL for (int i = 0; i < QN_C_COUNT; i++)
        sum = sum + QN_C(acc[j], i);
    QN_AT(out)[get_global_id(0)] = sum;
}
