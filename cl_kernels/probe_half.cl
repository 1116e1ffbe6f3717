/* Probe: out[i] = half(a[i]) read back: round to nearest even, denormals and infinity included. */
#include "common.clh"

__kernel void probe_half(QN_OUT(float, out), __global half *store_base, const ulong store_offset,
                         QN_IN(float, a))
{
    const int i = (int)get_global_id(0);
    vstore_half_rte(QN_AT(a)[i], i, QN_AT(store));
    QN_AT(out)[i] = vload_half(i, QN_AT(store));
}
