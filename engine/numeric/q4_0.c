/* q4_0: f16 d, u8 qs[16]; y = d (q - 8). Element j is the low half of qs[j], j + 16 the high. */
#include "numeric/block_format.h"
#include "numeric/fit.h"

void qn__q4_0_decode(const uint8_t *block, float *y)
{
    float d = qn__load_half(block);
    for (int j = 0; j < 16; j++) {
        y[j] = d * (float)((block[2 + j] & 15) - 8);
        y[j + 16] = d * (float)((block[2 + j] >> 4) - 8);
    }
}

void qn__q4_0_encode(const float *x, const float *w, uint8_t *block)
{
    uint8_t q[32];
    qn__store_half(block, qn__symmetric_weighted(x, w, 4, q));
    for (int j = 0; j < 16; j++) block[2 + j] = (uint8_t)(q[j] | q[j + 16] << 4);
}
