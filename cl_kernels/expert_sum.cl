/* Weighted sum over experts, one element an item. */
#define QN_W 1
#include "expert_sum.clh"
