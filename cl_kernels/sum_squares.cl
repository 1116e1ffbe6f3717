/* Sums of squares, one chunk an item. */
#define QN_W 1
#include "sum_squares.clh"
