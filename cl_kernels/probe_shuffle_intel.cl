/* Probe: shuffles of cl_intel_subgroups. */
#define QN_SHUFFLE 2
#define QN_PROBE_SHUFFLE probe_shuffle_intel
#include "probe_shuffle.clh"
