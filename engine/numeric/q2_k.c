/* q2_K: u8 scales[16], u8 qs[64], f16 d, f16 dmin; sixteen groups of 16 elements, of scale s & 15
 * and minimum s >> 4: y = (d (s & 15)) q - dmin (s >> 4). Element 128 h + 32 g + l is bits 2 g and
 * 2 g + 1 of qs[32 h + l]. */
#include "numeric/block_format.h"

void qn__q2_k_decode(const uint8_t *block, float *y)
{
    const uint8_t *qs = block + 16;
    float d = qn__load_half(block + 80), dmin = qn__load_half(block + 82);
    for (int i = 0; i < 256; i++) {
        float scale = d * (float)(block[i / 16] & 15);
        float min = dmin * (float)(block[i / 16] >> 4);
        int q = qs[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
        y[i] = scale * (float)q - min;
    }
}
