/* q8_0: f16 d, i8 q[32]; y = d q. */
#include "numeric/block_format.h"
#include "numeric/fit.h"

#include <math.h>

void qn__q8_0_decode(const uint8_t *block, float *y)
{
    float d = qn__load_half(block);
    for (int i = 0; i < 32; i++) y[i] = d * (float)(int8_t)block[2 + i];
}

/* The rule is ggml's; eight bits leave a search nothing to find, so weights do not matter. */
void qn__q8_0_encode(const float *x, const float *w, uint8_t *block)
{
    (void)w;
    float largest = 0;
    for (int i = 0; i < 32; i++) largest = qn__most(largest, fabsf(x[i]));
    float d = largest / 127.0f;
    float inverse = qn__inverse(d);
    qn__store_half(block, d);
    if (d > 65504.0f) inverse = 1.0f / 65504.0f;
    for (int i = 0; i < 32; i++) {
        float q = roundf(x[i] * inverse);
        block[2 + i] = (uint8_t)(int8_t)qn__between(q, -127.0f, 127.0f);
    }
}
