/* Weighted sum over experts in vectors of 16. */
#define QN_W 16
#include "expert_sum.clh"
