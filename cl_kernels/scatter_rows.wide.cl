/* Rows into rows for CPUs: runs of elements, 16 at a time. */
#define QN_W 16
#include "scatter_rows.clh"
