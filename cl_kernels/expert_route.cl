/* Routing, plain: one element at a time. */
#define QN_W 1
#include "expert_route.clh"
