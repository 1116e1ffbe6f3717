/* q6_K: u8 ql[128], u8 qh[64], i8 scales[16], f16 d; sixteen groups of 16 elements:
 * y = (d scale) (q - 32). Element 128 h + 32 g + l has its low four bits in a half of
 * ql[64 h + 32 (g & 1) + l], low for g < 2, and its high two in bits 2 g, 2 g + 1 of qh[32 h + l].
 */
#include "numeric/block_format.h"
#include "numeric/fit.h"

#include <string.h>

void qn__q6_k_decode(const uint8_t *block, float *y)
{
    float d = qn__load_half(block + 208);
    for (int i = 0; i < 256; i++) {
        int h = i / 128, g = i / 32 % 4, l = i % 32;
        float scale = d * (float)(int8_t)block[192 + i / 16];
        int low = block[64 * h + 32 * (g & 1) + l] >> g / 2 * 4 & 15;
        int high = block[128 + 32 * h + l] >> 2 * g & 3;
        y[i] = scale * (float)((low | high << 4) - 32);
    }
}

void qn__q6_k_encode(const float *x, const float *w, uint8_t *block)
{
    static const qn_level_shape shape = {.groups = 16, .size = 16, .half = 128, .first = -32};
    qn_fit fit;
    qn_level_fit best;
    qn__fit_begin(&fit, x, w, 256);
    qn__fit_levels(&fit, &shape, &best);
    memset(block, 0, 192);
    for (int i = 0; i < 256; i++) {
        int h = i / 128, g = i / 32 % 4, l = i % 32;
        block[64 * h + 32 * (g & 1) + l] |= (uint8_t)((best.q[i] & 15) << g / 2 * 4);
        block[128 + 32 * h + l] |= (uint8_t)(best.q[i] >> 4 << 2 * g);
    }
    for (int j = 0; j < 16; j++) block[192 + j] = (uint8_t)best.scale[j];
    qn__store_half(block + 208, best.d);
}
