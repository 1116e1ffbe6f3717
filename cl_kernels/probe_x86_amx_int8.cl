/* Probe: out [16, 16] = c + a b on AMX, tiles of bytes, of a unsigned and of b signed
 * (tile_unit.clh). */
#define QN_W 1
#define QN_TILE_UNIT 1
#include "tile_unit.clh"

__kernel void probe_x86_amx_int8(QN_OUT(int, out), QN_IN(uint, a), QN_IN(uint, b), QN_IN(int, c))
{
    qn_tile_begin();
    QN_TILE_LOAD(0, 0, __global, QN_AT(c), 64);
    QN_TILE_LOAD(0, 1, __global, QN_AT(a), 64);
    QN_TILE_LOAD(0, 2, __global, QN_AT(b), 64);
    QN_TILE_MMA_INT8(0, 0, 1, 2);
    QN_TILE_STORE(0, 0, __global, QN_AT(out), 64);
    qn_tile_end();
}
