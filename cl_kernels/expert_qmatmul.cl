/* Product with stacked quantized matrices, one element of y an item. */
#define QN_EXPERTS 1
#include "qmatmul.cl"
