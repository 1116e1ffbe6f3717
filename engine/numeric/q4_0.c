/* q4_0: f16 d, u8 qs[16]; y = d (q - 8). Element j is the low half of qs[j], j + 16 the high. */
#include "numeric/block_format.h"
#include "numeric/fit.h"

#include <string.h>

void qn__q4_0_decode(const uint8_t *block, float *y)
{
    float d = qn__load_half(block);
    for (int j = 0; j < 16; j++) {
        y[j] = d * (float)((block[2 + j] & 15) - 8);
        y[j + 16] = d * (float)((block[2 + j] >> 4) - 8);
    }
}

static float fit(const float *x, const float *w, uint8_t *q)
{
    static const qn_level_shape shape = {.groups = 1, .size = 32, .first = -8};
    qn_fit fit;
    qn_level_fit best;
    qn__fit_begin(&fit, x, w, 32);
    qn__fit_levels(&fit, &shape, &best);
    memcpy(q, best.q, 32);
    return best.d;
}

void qn__q4_0_encode(const float *x, const float *w, uint8_t *block)
{
    uint8_t q[32];
    qn__store_half(block, w ? fit(x, w, q) : qn__symmetric(x, 4, q));
    for (int j = 0; j < 16; j++) block[2 + j] = (uint8_t)(q[j] | q[j + 16] << 4);
}
