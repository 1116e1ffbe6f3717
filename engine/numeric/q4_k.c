/* q4_K: f16 d, f16 dmin, u8 scales[12], u8 qs[128]; eight groups of 32 elements, of six-bit scales
 * and minima: y = (d scale) q - dmin min. Groups 2 k and 2 k + 1 are the low and the high halves of
 * qs[32 k ..]. */
#include "numeric/block_format.h"
#include "numeric/fit.h"
#include "numeric/six_bits.h"

void qn__q4_k_decode(const uint8_t *block, float *y)
{
    float d = qn__load_half(block), dmin = qn__load_half(block + 2);
    uint8_t scale[8], min[8];
    qn__six_bits_load(block + 4, scale, min);
    for (int j = 0; j < 8; j++) {
        const uint8_t *qs = block + 16 + j / 2 * 32;
        float a = d * (float)scale[j], b = dmin * (float)min[j];
        for (int l = 0; l < 32; l++) y[32 * j + l] = a * (float)(qs[l] >> j % 2 * 4 & 15) - b;
    }
}

void qn__q4_k_encode(const float *x, const float *w, uint8_t *block)
{
    static const qn_affine_shape shape = {.groups = 8, .size = 32, .top = 15, .scale_top = 63};
    qn_fit fit;
    qn_affine_fit best;
    qn__fit_begin(&fit, x, w, 256);
    qn__fit_affine(&fit, &shape, &best);
    qn__store_half(block, best.d);
    qn__store_half(block + 2, best.dmin);
    qn__six_bits_store(best.scale, best.min, block + 4);
    for (int i = 0; i < 128; i++) {
        const uint8_t *q = best.q + i / 32 * 64 + i % 32;
        block[16 + i] = (uint8_t)(q[0] | q[32] << 4);
    }
}
