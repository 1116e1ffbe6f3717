/* Probe: Intel's sub-group matrix multiply-accumulate, sub-groups of 8. */
#define QN_UNIT 2
#define QN_PROBE_MATRIX probe_matrix_dpas8
#include "probe_matrix.clh"
