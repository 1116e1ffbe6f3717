/* Sum, one element an item. */
#define QN_W 1
#include "add.clh"
