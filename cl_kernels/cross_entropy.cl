/* Cross entropy, one row an item. */
#define QN_W 1
#include "cross_entropy.clh"
