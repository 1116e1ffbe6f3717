/* Peak of vpdpbusd: sixteen independent sums of 16 lanes an item, each step four products into each
 * lane; see peak.cl. */
#define QN_W 16
#include "common.clh"
#ifndef __x86_64__
#error "not an x86 processor"
#endif
#define QN_CHAINS 16

__kernel void peak_matrix(QN_OUT(float, out), const int rounds, const float a, const float b)
{
    int16 x[QN_CHAINS];
    const uint16 va = as_uint16((float16)(a)), vb = as_uint16((float16)(b));
    __attribute__((opencl_unroll_hint(QN_CHAINS))) for (int j = 0; j < QN_CHAINS; j++) x[j] =
        (int16)(j);
    for (int i = 0; i < rounds; i++)
        __attribute__((opencl_unroll_hint(QN_CHAINS))) for (int j = 0; j < QN_CHAINS; j++) __asm__(
            "vpdpbusd %2, %1, %0" : "+v"(x[j]) : "v"(va), "v"(vb));
    int16 sum = x[0];
    __attribute__((opencl_unroll_hint(QN_CHAINS))) for (int j = 1; j < QN_CHAINS; j++) sum =
        sum + x[j];
    vstore16(convert_float16(sum), 0, QN_AT(out) + get_global_id(0) * 16);
}
