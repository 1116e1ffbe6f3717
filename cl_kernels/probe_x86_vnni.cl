/* Probe: out = c + the products of four unsigned bytes of a with four signed ones of b, by
 * vpdpbusd; sums wrap. */
#define QN_W 16
#include "common.clh"
#ifndef __x86_64__
#error "not an x86 processor"
#endif

__kernel void probe_x86_vnni(QN_OUT(int, out), QN_IN(uint, a), QN_IN(uint, b), QN_IN(int, c))
{
    const int i = (int)get_global_id(0) * 16;
    int16 sum = vload16(0, QN_AT(c) + i);
    const uint16 va = vload16(0, QN_AT(a) + i), vb = vload16(0, QN_AT(b) + i);
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(va), "v"(vb));
    vstore16(sum, 0, QN_AT(out) + i);
}
