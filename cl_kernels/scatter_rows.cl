/* Rows into rows, one element an item. */
#define QN_W 1
#include "scatter_rows.clh"
