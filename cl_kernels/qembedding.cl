/* Rows of a quantized table. */
#define QN_W 1
#include "qembedding.clh"
