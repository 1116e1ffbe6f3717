/* Layer norm, one row an item. */
#define QN_W 1
#include "layer_norm.clh"
