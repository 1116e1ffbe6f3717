/* Activations to q8x, one block an item. */
#define QN_W 1
#include "quantize_rows.clh"
