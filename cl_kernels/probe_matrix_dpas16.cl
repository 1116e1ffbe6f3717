/* Probe: Intel's sub-group matrix multiply-accumulate, sub-groups of 16. */
#define QN_UNIT 3
#define QN_PROBE_MATRIX probe_matrix_dpas16
#include "probe_matrix.clh"
