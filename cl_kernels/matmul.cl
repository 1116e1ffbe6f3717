/* Matrix product, one element an item: y = act(c + op(a) op(b) + bias), the sum over k one fma
 * chain, ascending. a(m, k) = a[m * a_row + k * a_col], b(k, n) = b[k * b_row + n * b_col], y
 * [rows, cols] row-major. Meaning: QN_FROM_C, QN_BIAS, QN_PRE 0/1; QN_ACT as in matmul.wide.cl,
 * QN_ONTO as in matmul_onto.clh. Grid: (n in groups of 64, m, batch). */
#include "matmul_finish.clh"

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void
matmul(QN_OUT(QN_ELEM_Y, y), QN_OUT(QN_ELEM_Y, pre), QN_IN(QN_ELEM, a), QN_IN(QN_ELEM, b),
       QN_IN(float, bias), QN_IN(float, c), QN_ONTO_ARGS const int cols, const int k_total,
       const ulong a_row, const ulong a_col, const ulong b_row, const ulong b_col,
       const ulong a_batch, const ulong b_batch, const ulong y_batch)
{
    const int n = (int)get_global_id(0);
    const ulong m = get_group_id(1), batch = get_group_id(2);
    if (n >= cols) return;
    __global const QN_ELEM *pa = QN_AT(a) + batch * a_batch + m * a_row;
    __global const QN_ELEM *pb = QN_AT(b) + batch * b_batch + n * b_col;
    const ulong at = batch * y_batch + m * cols + n;
    float sum = QN_FROM_C ? QN_AT(c)[at] : 0.0f;
    for (int k = 0; k < k_total; k++)
        sum = QN_FMA(QN_GET(pa + k * a_col), QN_GET(pb + k * b_row), sum);
    sum = QN_ADD_ONTO(QN_ONTO_ELEMENT, at, sum);
    qn_finish_element(sum, QN_AT(y), QN_AT(pre), QN_AT(bias), n, at);
}
