/* q5_0: f16 d, u32 qh, u8 qs[16]; y = d (q - 16). Bit j of qh is the fifth bit of element j. */
#include "numeric/block_format.h"
#include "numeric/fit.h"

void qn__q5_0_decode(const uint8_t *block, float *y)
{
    float d = qn__load_half(block);
    uint8_t q[32];
    qn__five_bits_load(block + 2, q);
    for (int i = 0; i < 32; i++) y[i] = d * (float)(q[i] - 16);
}

void qn__q5_0_encode(const float *x, const float *w, uint8_t *block)
{
    uint8_t q[32];
    qn__store_half(block, qn__symmetric_weighted(x, w, 5, q));
    qn__five_bits_store(q, block + 2);
}
