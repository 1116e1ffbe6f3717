/* Mean squared error for CPUs: float16 vectors. */
#define QN_W 16
#include "mse.clh"
