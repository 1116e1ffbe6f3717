/* Product with a quantized matrix in vectors of 16, by products of 16-bit pairs where there are. */
#define QN_W 16
#include "qmatmul_panels.clh"
