/* Product, one element an item. */
#define QN_W 1
#include "multiply.clh"
