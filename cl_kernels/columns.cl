/* y [cols] = sum over parts of x [parts, cols], parts ascending: the second half of every column
 * sum. */
#include "columns.clh"

__kernel void column_sum(QN_OUT(float, y), __global const float *x, const ulong x_offset,
                         const int parts, const int cols)
{
    const int i = (int)get_global_id(0) * QN_W;
    if (i >= cols) return;
    const int count = min(QN_W, cols - i);
    QN_V s = (QN_V)(0.0f);
    for (int p = 0; p < parts; p++) s = s + QN_LOAD(x + x_offset + (ulong)p * cols + i, count);
    QN_STORE(s, QN_AT(y) + i, count);
}
