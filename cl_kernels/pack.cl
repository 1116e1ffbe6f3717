/* Packing, one panel column an item. */
#define QN_W 1
#include "pack.clh"
