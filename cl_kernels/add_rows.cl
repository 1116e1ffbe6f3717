/* Rows added to rows, one element an item. */
#define QN_W 1
#include "add_rows.clh"
