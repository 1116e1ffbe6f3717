/* Permutation for CPUs: runs of elements, or tiles of 16 x 16. */
#define QN_W 16
#include "permute.clh"
