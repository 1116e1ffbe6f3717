#include "numeric/fit.h"

void qn__five_bits_load(const uint8_t *from, uint8_t *q)
{
    uint32_t high = from[0] | from[1] << 8 | from[2] << 16 | (uint32_t)from[3] << 24;
    for (int j = 0; j < 16; j++) {
        q[j] = (uint8_t)((from[4 + j] & 15) | (high >> j & 1) << 4);
        q[j + 16] = (uint8_t)(from[4 + j] >> 4 | (high >> (j + 16) & 1) << 4);
    }
}

void qn__five_bits_store(const uint8_t *q, uint8_t *to)
{
    uint32_t high = 0;
    for (int i = 0; i < 32; i++) high |= (uint32_t)(q[i] >> 4 & 1) << i;
    for (int i = 0; i < 4; i++) to[i] = (uint8_t)(high >> 8 * i);
    for (int j = 0; j < 16; j++) to[4 + j] = (uint8_t)((q[j] & 15) | (q[j + 16] & 15) << 4);
}

float qn__symmetric(const float *x, const float *w, int bits, uint8_t *q)
{
    const float half = (float)(1 << (bits - 1));
    float furthest = 0;
    (void)w;
    for (int i = 0; i < 32; i++)
        if (fabsf(furthest) < fabsf(x[i])) furthest = x[i];
    float d = furthest / -half;
    float inverse = qn__inverse(qn__between(d, -65504.0f, 65504.0f));
    for (int i = 0; i < 32; i++) {
        float level = x[i] * inverse + (half + 0.5f);
        q[i] = (uint8_t)qn__between(level, 0, 2 * half - 1);
    }
    return d;
}

float qn__affine(const float *x, const float *w, int bits, float *m, uint8_t *q)
{
    const float top = (float)((1 << bits) - 1);
    float least = x[0], most = x[0];
    (void)w;
    for (int i = 1; i < 32; i++) {
        least = qn__least(least, x[i]);
        most = qn__most(most, x[i]);
    }
    least = qn__between(least, -65504.0f, 65504.0f);
    float d = qn__least((most - least) / top, 65504.0f);
    float inverse = qn__inverse(d);
    for (int i = 0; i < 32; i++)
        q[i] = (uint8_t)qn__between((x[i] - least) * inverse + 0.5f, 0, top);
    *m = least;
    return d;
}
