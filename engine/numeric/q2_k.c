/* q2_K: u8 scales[16], u8 qs[64], f16 d, f16 dmin; sixteen groups of 16 elements, of scale s & 15
 * and minimum s >> 4: y = (d (s & 15)) q - dmin (s >> 4). Element 128 h + 32 g + l is bits 2 g and
 * 2 g + 1 of qs[32 h + l]. */
#include "numeric/block_format.h"
#include "numeric/fit.h"

#include <string.h>

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

void qn__q2_k_encode(const float *x, const float *w, uint8_t *block)
{
    static const qn_affine_shape shape = {.groups = 16, .size = 16, .top = 3, .scale_top = 15};
    qn_fit fit;
    qn_affine_fit best;
    qn__fit_begin(&fit, x, w, 256);
    qn__fit_affine(&fit, &shape, &best);
    memset(block, 0, 80);
    for (int j = 0; j < 16; j++) block[j] = (uint8_t)(best.scale[j] | best.min[j] << 4);
    for (int i = 0; i < 256; i++)
        block[16 + i / 128 * 32 + i % 32] |= (uint8_t)(best.q[i] << i / 32 % 4 * 2);
    qn__store_half(block + 80, best.d);
    qn__store_half(block + 82, best.dmin);
}
