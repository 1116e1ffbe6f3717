#include "numeric/fit.h"

#include "numeric/block_format.h"

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

float qn__symmetric(const float *x, int bits, uint8_t *q)
{
    const float half = (float)(1 << (bits - 1));
    float furthest = 0;
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

float qn__affine(const float *x, int bits, float *m, uint8_t *q)
{
    const float top = (float)((1 << bits) - 1);
    float least = x[0], most = x[0];
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

void qn__fit_begin(qn_fit *fit, const float *x, const float *w, int count)
{
    float most = 0, heaviest = 0;
    for (int i = 0; i < count; i++) {
        most = qn__most(most, fabsf(x[i]));
        if (w) heaviest = qn__most(heaviest, w[i]);
    }
    int exponent = most > 0 ? ilogbf(most) : 0;
    exponent = exponent < -126 ? -126 : exponent > 126 ? 126 : exponent;
    fit->power = ldexpf(1, exponent);
    const float scale = ldexpf(1, -exponent), weigh = heaviest > 0 ? 1 / heaviest : 0;
    for (int i = 0; i < count; i++) {
        fit->x[i] = x[i] * scale;
        /* Columns that were never met still want to be near. */
        fit->w[i] = heaviest > 0 ? qn__between(w[i] * weigh, 1e-6f, 1) : 1;
    }
}

float qn__fit_half(const qn_fit *fit, float scale)
{
    uint8_t half[2];
    float kept = qn__store_half(half, scale * fit->power);
    if (kept == 0 && scale != 0) kept = copysignf(0x1p-24f, scale);
    return kept / fit->power;
}
