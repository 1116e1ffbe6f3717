/* Rows added to rows for CPUs: a row an item, 16 columns at a time. */
#define QN_W 16
#include "add_rows.clh"
