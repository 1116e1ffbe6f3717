/* Probe: dot products of bytes of AMD, signed bytes. */
#define QN_DOT 3
#define QN_PROBE_DOT probe_dot_amd
#include "probe_dot.clh"
