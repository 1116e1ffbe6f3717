/* Concatenation for CPUs: runs of elements, 16 at a time. */
#define QN_W 16
#include "concat.clh"
