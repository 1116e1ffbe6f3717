/* Layer norm for GPUs: 16 items a row, a float4 each. See rows.clh. */
#define QN_W 4
#include "layer_norm.clh"
