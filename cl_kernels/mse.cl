/* Mean squared error, one element (or chunk) an item. */
#define QN_W 1
#include "mse.clh"
