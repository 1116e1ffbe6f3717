/* Rotary positions for CPUs: one row an item, 16 pairs at a time. */
#define QN_W 16
#include "rope.clh"
