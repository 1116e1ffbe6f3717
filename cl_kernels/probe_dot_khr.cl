/* Probe: dot products of bytes of cl_khr_integer_dot_product. */
#define QN_DOT 2
#define QN_PROBE_DOT probe_dot_khr
#include "probe_dot.clh"
