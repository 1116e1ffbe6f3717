/* Peak of AMX in bf16: four tiles of sums an item, from two tiles of each operand; see peak.cl. */
#define QN_W 1
#define QN_TILE_UNIT 1
#include "tile_unit.clh"

__kernel void peak_matrix(QN_OUT(float, out), const int rounds, const float a, const float b)
{
    uint words[256];
    for (int i = 0; i < 256; i++) words[i] = as_uint(i % 2 ? a : b);
    qn_tile_begin();
    QN_TILE_ZERO(0, 0);
    QN_TILE_ZERO(0, 1);
    QN_TILE_ZERO(0, 2);
    QN_TILE_ZERO(0, 3);
    QN_TILE_LOAD(0, 4, __private, words, 64);
    QN_TILE_LOAD(0, 5, __private, words, 64);
    QN_TILE_LOAD(0, 6, __private, words, 64);
    QN_TILE_LOAD(0, 7, __private, words, 64);
    for (int i = 0; i < rounds; i++) {
        QN_TILE_MMA(0, 0, 6, 4);
        QN_TILE_MMA(0, 1, 6, 5);
        QN_TILE_MMA(0, 2, 7, 4);
        QN_TILE_MMA(0, 3, 7, 5);
    }
    QN_TILE_STORE(0, 0, __private, words, 64);
    qn_tile_end();
    float sum = 0.0f;
    for (int i = 0; i < 256; i++) sum = sum + (float)(words[i] & 255);
    QN_AT(out)[get_global_id(0)] = sum;
}
