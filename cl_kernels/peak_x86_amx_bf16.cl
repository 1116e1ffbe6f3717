/* Peak of AMX in bf16. */
#define QN_PEAK_MMA QN_TILE_MMA
#include "peak_x86_amx.clh"
