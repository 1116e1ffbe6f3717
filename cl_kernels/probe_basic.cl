/* Probe: out[i] = a[i] * 3 + (i ^ 5), through an offset of 64 bits; n items. */
#include "common.clh"

__kernel void probe_basic(QN_OUT(int, out), QN_IN(int, a), const int n)
{
    const int i = (int)get_global_id(0);
    if (i < n) QN_AT(out)[i] = QN_AT(a)[i] * 3 + (i ^ 5);
}
