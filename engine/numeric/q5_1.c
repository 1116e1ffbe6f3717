/* q5_1: f16 d, f16 m, u32 qh and u8 qs[16] as q5_0's; y = d q + m. */
#include "numeric/block_format.h"
#include "numeric/fit.h"

void qn__q5_1_decode(const uint8_t *block, float *y)
{
    float d = qn__load_half(block), m = qn__load_half(block + 2);
    uint8_t q[32];
    qn__five_bits_load(block + 4, q);
    for (int i = 0; i < 32; i++) y[i] = d * (float)q[i] + m;
}

void qn__q5_1_encode(const float *x, const float *w, uint8_t *block)
{
    uint8_t q[32];
    float d, m;
    if (w) {
        qn_fit fit;
        qn__fit_begin(&fit, x, w, 32);
        qn__fit_affine_plain(&fit, 32, 31, &d, &m, q);
    } else {
        d = qn__affine(x, 5, &m, q);
    }
    qn__store_half(block, d);
    qn__store_half(block + 2, m);
    qn__five_bits_store(q, block + 4);
}
