/* Layer norm for CPUs: a row in float16 vectors. */
#define QN_W 16
#include "layer_norm.clh"
