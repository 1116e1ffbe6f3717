/* Rotary positions, one pair an item. */
#define QN_W 1
#include "rope.clh"
