/* Product with stacked quantized matrices in vectors of 16. */
#define QN_EXPERTS 1
#define QN_W 16
#include "qmatmul_panels.clh"
