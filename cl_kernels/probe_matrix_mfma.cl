/* Probe: AMD's MFMA. */
#define QN_UNIT 4
#define QN_PROBE_MATRIX probe_matrix_mfma
#include "probe_matrix.clh"
