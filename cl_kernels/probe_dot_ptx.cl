/* Probe: dot products of bytes of NVIDIA. */
#define QN_DOT 1
#define QN_PROBE_DOT probe_dot_ptx
#include "probe_dot.clh"
