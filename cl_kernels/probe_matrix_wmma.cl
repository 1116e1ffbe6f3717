/* Probe: AMD's WMMA. */
#define QN_UNIT 5
#define QN_PROBE_MATRIX probe_matrix_wmma
#include "probe_matrix.clh"
