/* Probe: out = fma(a, b, c) on float16, exactly rounded: the host chooses values where a * b + c in
 * two steps gives something else. One item does 16 elements. */
#define QN_W 16
#include "common.clh"

__kernel void probe_vector16(QN_OUT(float, out), QN_IN(float, a), QN_IN(float, b), QN_IN(float, c))
{
    const int i = (int)get_global_id(0) * 16;
    float16 x = vload16(0, QN_AT(a) + i);
    float16 y = vload16(0, QN_AT(b) + i);
    float16 z = vload16(0, QN_AT(c) + i);
    vstore16(QN_FMA(x, y, z), 0, QN_AT(out) + i);
}
