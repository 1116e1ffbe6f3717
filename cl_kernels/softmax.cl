/* Softmax, one row an item. */
#define QN_W 1
#include "softmax.clh"
