/* iq4_nl: f16 d, u8 qs[16] as q4_0's; y = d level[q], levels denser around zero. */
#include "numeric/block_format.h"
#include "numeric/fit.h"
#include "numeric/level_table.h"

void qn__iq4_nl_decode(const uint8_t *block, float *y)
{
    float d = qn__load_half(block);
    for (int j = 0; j < 16; j++) {
        y[j] = d * (float)qn__iq4_levels[block[2 + j] & 15];
        y[j + 16] = d * (float)qn__iq4_levels[block[2 + j] >> 4];
    }
}

void qn__iq4_nl_encode(const float *x, const float *w, uint8_t *block)
{
    static const qn_level_shape shape = {.groups = 1, .size = 32, .levels = qn__iq4_levels};
    qn_fit fit;
    qn_level_fit best;
    qn__fit_begin(&fit, x, w, 32);
    qn__fit_levels(&fit, &shape, &best);
    qn__store_half(block, best.d);
    for (int j = 0; j < 16; j++) block[2 + j] = (uint8_t)(best.q[j] | best.q[j + 16] << 4);
}
