/* Probe: NVIDIA's mma.sync, ldmatrix and cp.async. */
#define QN_UNIT 1
#define QN_PROBE_MATRIX probe_matrix_ptx
#include "probe_matrix.clh"
