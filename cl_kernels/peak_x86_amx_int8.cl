/* Peak of AMX in int8. */
#define QN_PEAK_MMA QN_TILE_MMA_INT8
#include "peak_x86_amx.clh"
