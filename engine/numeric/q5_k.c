/* q5_K: f16 d, f16 dmin, u8 scales[12], u8 qh[32], u8 qs[128]; as q4_K, and bit j of qh[l] is the
 * fifth bit of element l of group j. */
#include "numeric/block_format.h"
#include "numeric/fit.h"
#include "numeric/six_bits.h"

#include <string.h>

void qn__q5_k_decode(const uint8_t *block, float *y)
{
    float d = qn__load_half(block), dmin = qn__load_half(block + 2);
    uint8_t scale[8], min[8];
    qn__six_bits_load(block + 4, scale, min);
    for (int j = 0; j < 8; j++) {
        const uint8_t *qh = block + 16, *qs = block + 48 + j / 2 * 32;
        float a = d * (float)scale[j], b = dmin * (float)min[j];
        for (int l = 0; l < 32; l++)
            y[32 * j + l] = a * (float)((qs[l] >> j % 2 * 4 & 15) | (qh[l] >> j & 1) << 4) - b;
    }
}

void qn__q5_k_encode(const float *x, const float *w, uint8_t *block)
{
    static const qn_affine_shape shape = {.groups = 8, .size = 32, .top = 31, .scale_top = 63};
    qn_fit fit;
    qn_affine_fit best;
    qn__fit_begin(&fit, x, w, 256);
    qn__fit_affine(&fit, &shape, &best);
    qn__store_half(block, best.d);
    qn__store_half(block + 2, best.dmin);
    qn__six_bits_store(best.scale, best.min, block + 4);
    memset(block + 16, 0, 32);
    for (int i = 0; i < 256; i++) block[16 + i % 32] |= (uint8_t)(best.q[i] >> 4 << i / 32);
    for (int i = 0; i < 128; i++) {
        const uint8_t *q = best.q + i / 32 * 64 + i % 32;
        block[48 + i] = (uint8_t)((q[0] & 15) | (q[32] & 15) << 4);
    }
}
