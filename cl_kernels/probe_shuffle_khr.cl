/* Probe: shuffles of cl_khr_subgroup_shuffle. */
#define QN_SHUFFLE 3
#define QN_PROBE_SHUFFLE probe_shuffle_khr
#include "probe_shuffle.clh"
