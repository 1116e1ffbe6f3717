/* Sums of squares for CPUs: a chunk in float16 vectors. */
#define QN_W 16
#include "sum_squares.clh"
