/* Peaks of a device. peak_fma: QN_CHAINS independent fma chains an item, nothing but registers.
 * peak_read: every item sums its part of a buffer, vector by vector.
 * Tuning: QN_W 1 or 16, QN_CHAINS 8 to 24. */
#include "common.clh"

#ifndef QN_CHAINS
#define QN_CHAINS 16
#endif

__kernel void peak_fma(QN_OUT(float, out), const int rounds, const float a, const float b)
{
    QN_V x[QN_CHAINS];
    __attribute__((opencl_unroll_hint(QN_CHAINS))) for (int j = 0; j < QN_CHAINS; j++) x[j] =
        (QN_V)(a) + (float)j;
    for (int i = 0; i < rounds; i++)
        __attribute__((opencl_unroll_hint(QN_CHAINS))) for (int j = 0; j < QN_CHAINS; j++) x[j] =
            QN_FMA(x[j], (QN_V)(b), (QN_V)(a));
    QN_V sum = x[0];
    __attribute__((opencl_unroll_hint(QN_CHAINS))) for (int j = 1; j < QN_CHAINS; j++) sum =
        sum + x[j];
    QN_VSTORE(sum, QN_AT(out) + get_global_id(0) * QN_W);
}

/* Item i of n reads QN_W elements at i, i + n, ... (QN_W 1), or its own contiguous part (QN_W 16).
 */
__kernel void peak_read(QN_OUT(float, out), QN_IN(float, x), const ulong vectors)
{
    const ulong item = get_global_id(0), items = get_global_size(0);
    __global const float *p = QN_AT(x);
#if QN_W == 16
    const ulong part = vectors / items;
    p += item * part * QN_W;
    QN_V s0 = (QN_V)(0.0f), s1 = s0, s2 = s0, s3 = s0;
    for (ulong i = 0; i + 4 <= part; i += 4) {
        s0 = s0 + vload16(i, p);
        s1 = s1 + vload16(i + 1, p);
        s2 = s2 + vload16(i + 2, p);
        s3 = s3 + vload16(i + 3, p);
    }
    QN_VSTORE((s0 + s1) + (s2 + s3), QN_AT(out) + item * QN_W);
#else
    float s = 0.0f;
    for (ulong i = item; i < vectors; i += items) s = s + p[i];
    QN_AT(out)[item] = s;
#endif
}
