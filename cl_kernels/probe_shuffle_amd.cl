/* Probe: shuffles of AMD. */
#define QN_SHUFFLE 4
#define QN_PROBE_SHUFFLE probe_shuffle_amd
#include "probe_shuffle.clh"
