/* Probe: each group of 64 reverses its elements through local memory. */
#include "common.clh"

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void probe_local(QN_OUT(float, out),
                                                                          QN_IN(float, a))
{
    __local float tile[64];
    const int lane = (int)get_local_id(0);
    const int base = (int)get_group_id(0) * 64;
    tile[lane] = QN_AT(a)[base + lane];
    barrier(CLK_LOCAL_MEM_FENCE);
    QN_AT(out)[base + lane] = tile[63 - lane];
}
