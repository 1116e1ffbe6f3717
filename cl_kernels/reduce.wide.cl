/* Reduction for CPUs: a row, or 16 columns, in float16 vectors. */
#define QN_W 16
#include "reduce.clh"
