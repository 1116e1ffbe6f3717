/* Probe: shuffles of NVIDIA. */
#define QN_SHUFFLE 1
#define QN_PROBE_SHUFFLE probe_shuffle_ptx
#include "probe_shuffle.clh"
