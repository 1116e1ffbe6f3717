/* Dropout for GPUs: a float4 an item. */
#define QN_W 4
#include "dropout.clh"
