/* q4_1: f16 d, f16 m, u8 qs[16] as q4_0's; y = d q + m. */
#include "numeric/block_format.h"
#include "numeric/fit.h"

void qn__q4_1_decode(const uint8_t *block, float *y)
{
    float d = qn__load_half(block), m = qn__load_half(block + 2);
    for (int j = 0; j < 16; j++) {
        y[j] = d * (float)(block[4 + j] & 15) + m;
        y[j + 16] = d * (float)(block[4 + j] >> 4) + m;
    }
}

void qn__q4_1_encode(const float *x, const float *w, uint8_t *block)
{
    uint8_t q[32];
    float d, m;
    if (w) {
        qn_fit fit;
        qn__fit_begin(&fit, x, w, 32);
        qn__fit_affine_plain(&fit, 32, 15, &d, &m, q);
    } else {
        d = qn__affine(x, 4, &m, q);
    }
    qn__store_half(block, d);
    qn__store_half(block + 2, m);
    for (int j = 0; j < 16; j++) block[4 + j] = (uint8_t)(q[j] | q[j + 16] << 4);
}
