/* mxfp4: u8 e, u8 qs[16] as q4_0's; y = 2^(e - 127) E2M1[q], E2M1 in {0, .5, 1, 1.5, 2, 3, 4, 6}
 * and their negatives (OCP Microscaling Formats 1.0). The levels are kept doubled, the power
 * halved. */
#include "numeric/block_format.h"
#include "numeric/level_table.h"

/* 2^(e - 128), subnormal for e < 2. */
static float power(int e)
{
    return qn__bits_f32(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

void qn__mxfp4_decode(const uint8_t *block, float *y)
{
    float d = power(block[0]);
    for (int j = 0; j < 16; j++) {
        y[j] = d * (float)qn__e2m1_levels[block[1 + j] & 15];
        y[j + 16] = d * (float)qn__e2m1_levels[block[1 + j] >> 4];
    }
}
