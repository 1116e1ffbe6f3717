/* Product with a quantized matrix on AVX512-VNNI: vpdpbusd, four products of bytes a lane. */
#define QN_W 16
#define QN_VNNI 1
#include "qmatmul_panels.clh"
