/* Packing for CPUs: tiles of 32 x 16. */
#define QN_W 16
#include "pack.clh"
