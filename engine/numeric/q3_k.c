/* q3_K: u8 hmask[32], u8 qs[64], u8 scales[12], f16 d; sixteen groups of 16 elements, of six-bit
 * scales: y = (d (scale - 32)) q, q in [-4, 3]. Element 128 h + 32 g + l has its low bits where
 * q2_K has them, and its high bit, the inverse of its sign, in bit 4 h + g of hmask[l]. */
#include "numeric/block_format.h"
#include "numeric/fit.h"

#include <string.h>

/* Low four bits in the halves of bytes 0 to 7, high two in the quarters of bytes 8 to 11. */
static int scale_load(const uint8_t *s, int j)
{
    int low = j < 8 ? s[j] & 15 : s[j - 8] >> 4;
    int high = s[8 + j % 4] >> (j / 4 * 2) & 3;
    return (low | high << 4) - 32;
}

void qn__q3_k_decode(const uint8_t *block, float *y)
{
    const uint8_t *qs = block + 32;
    float d = qn__load_half(block + 108);
    for (int i = 0; i < 256; i++) {
        float scale = d * (float)scale_load(block + 96, i / 16);
        int low = qs[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
        int high = block[i % 32] >> (i / 32) & 1;
        y[i] = scale * (float)(low - (high ? 0 : 4));
    }
}

void qn__q3_k_encode(const float *x, const float *w, uint8_t *block)
{
    static const qn_level_shape shape = {.groups = 16, .size = 16, .half = 32, .first = -4};
    uint8_t *qs = block + 32, *scales = block + 96;
    qn_fit fit;
    qn_level_fit best;
    qn__fit_begin(&fit, x, w, 256);
    qn__fit_levels(&fit, &shape, &best);
    memset(block, 0, 108);
    for (int i = 0; i < 256; i++) {
        qs[i / 128 * 32 + i % 32] |= (uint8_t)((best.q[i] & 3) << i / 32 % 4 * 2);
        block[i % 32] |= (uint8_t)(best.q[i] >> 2 << i / 32);
    }
    for (int j = 0; j < 16; j++) {
        int scale = best.scale[j] + 32;
        scales[j % 8] |= (uint8_t)((scale & 15) << j / 8 * 4);
        scales[8 + j % 4] |= (uint8_t)(scale >> 4 << j / 4 * 2);
    }
    qn__store_half(block + 108, best.d);
}
