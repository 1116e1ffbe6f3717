/* Product with stacked quantized matrices on GPUs. */
#define QN_EXPERTS 1
#include "qmatmul.tile.cl"
