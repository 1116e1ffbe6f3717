/* iq4_xs: f16 d, u16 scales_h, u8 scales_l[4], u8 qs[128]; eight groups of 32 elements laid out as
 * iq4_nl's, of six-bit scales: y = (d (scale - 32)) level[q]. The low halves of scales 2 k and
 * 2 k + 1 are those of scales_l[k], the high bits of scale j are bits 2 j, 2 j + 1 of scales_h. */
#include "numeric/block_format.h"
#include "numeric/fit.h"
#include "numeric/level_table.h"

#include <string.h>

void qn__iq4_xs_decode(const uint8_t *block, float *y)
{
    float d = qn__load_half(block);
    unsigned high = qn__load_u16(block + 2);
    for (int j = 0; j < 8; j++) {
        const uint8_t *qs = block + 8 + 16 * j;
        int scale = (block[4 + j / 2] >> j % 2 * 4 & 15) | (int)(high >> 2 * j & 3) << 4;
        float a = d * (float)(scale - 32);
        for (int l = 0; l < 16; l++) {
            y[32 * j + l] = a * (float)qn__iq4_levels[qs[l] & 15];
            y[32 * j + l + 16] = a * (float)qn__iq4_levels[qs[l] >> 4];
        }
    }
}

void qn__iq4_xs_encode(const float *x, const float *w, uint8_t *block)
{
    static const qn_level_shape shape = {
        .groups = 8, .size = 32, .half = 32, .levels = qn__iq4_levels};
    qn_fit fit;
    qn_level_fit best;
    unsigned high = 0;
    qn__fit_begin(&fit, x, w, 256);
    qn__fit_levels(&fit, &shape, &best);
    memset(block + 4, 0, 4);
    for (int j = 0; j < 8; j++) {
        const uint8_t *q = best.q + 32 * j;
        unsigned scale = (unsigned)(best.scale[j] + 32);
        block[4 + j / 2] |= (uint8_t)((scale & 15) << j % 2 * 4);
        high |= scale >> 4 << 2 * j;
        for (int l = 0; l < 16; l++) block[8 + 16 * j + l] = (uint8_t)(q[l] | q[l + 16] << 4);
    }
    qn__store_half(block, best.d);
    qn__store_u16(block + 2, (uint16_t)high);
}
