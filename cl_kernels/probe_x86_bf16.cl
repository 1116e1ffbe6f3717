/* Probe: out = a pairs of bf16, multiplied with those of b and added to c, by vdpbf16ps. */
#define QN_W 16
#include "common.clh"
#ifndef __x86_64__
#error "not an x86 processor"
#endif

__kernel void probe_x86_bf16(QN_OUT(float, out), QN_IN(uint, a), QN_IN(uint, b), QN_IN(float, c))
{
    const int i = (int)get_global_id(0) * 16;
    float16 sum = vload16(0, QN_AT(c) + i);
    const uint16 va = vload16(0, QN_AT(a) + i), vb = vload16(0, QN_AT(b) + i);
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(va), "v"(vb));
    vstore16(sum, 0, QN_AT(out) + i);
}
