/* Copy for CPUs: 16 elements at a time. */
#define QN_W 16
#include "copy.clh"
