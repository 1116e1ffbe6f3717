/* Probe: dot products of bytes of AMD, RDNA 3. */
#define QN_DOT 4
#define QN_PROBE_DOT probe_dot_amd11
#include "probe_dot.clh"
