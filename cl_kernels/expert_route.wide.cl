/* Routing in vectors of 16. */
#define QN_W 16
#include "expert_route.clh"
