/* Activations to q8x, 16 blocks an item. */
#define QN_W 16
#include "quantize_rows.clh"
