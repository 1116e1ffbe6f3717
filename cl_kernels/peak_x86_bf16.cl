/* Peak of vdpbf16ps: sixteen independent sums of 16 lanes an item, each step 16 pairs of products
 * into each; see peak.cl. */
#define QN_W 16
#include "common.clh"
#ifndef __x86_64__
#error "not an x86 processor"
#endif
#define QN_CHAINS 16

__kernel void peak_matrix(QN_OUT(float, out), const int rounds, const float a, const float b)
{
    float16 x[QN_CHAINS];
    const uint16 va = as_uint16((float16)(a)) >> 16, vb = as_uint16((float16)(b)) >> 16;
    __attribute__((opencl_unroll_hint(QN_CHAINS))) for (int j = 0; j < QN_CHAINS; j++) x[j] =
        (float16)((float)j);
    for (int i = 0; i < rounds; i++)
        __attribute__((opencl_unroll_hint(QN_CHAINS))) for (int j = 0; j < QN_CHAINS; j++) __asm__(
            "vdpbf16ps %2, %1, %0" : "+v"(x[j]) : "v"(va), "v"(vb));
    float16 sum = x[0];
    __attribute__((opencl_unroll_hint(QN_CHAINS))) for (int j = 1; j < QN_CHAINS; j++) sum =
        sum + x[j];
    vstore16(sum, 0, QN_AT(out) + get_global_id(0) * 16);
}
