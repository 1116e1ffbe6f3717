/* Product with stacked quantized matrices on AVX512-VNNI. */
#define QN_EXPERTS 1
#define QN_W 16
#define QN_VNNI 1
#include "qmatmul_panels.clh"
