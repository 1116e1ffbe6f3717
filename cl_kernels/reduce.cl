/* Reduction, one row or column an item. */
#define QN_W 1
#include "reduce.clh"
