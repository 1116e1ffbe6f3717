/* Gather for CPUs: 4096 elements an item. */
#define QN_W 16
#include "gather.clh"
