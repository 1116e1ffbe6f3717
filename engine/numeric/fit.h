/* Scales for quantized blocks: which grid lies nearest to some numbers. */
#ifndef QN_NUMERIC_FIT_H
#define QN_NUMERIC_FIT_H

#include <math.h>
#include <stdint.h>

/* What libm's are, without the calls. */
static inline float qn__least(float a, float b)
{
    return a < b ? a : b;
}

static inline float qn__most(float a, float b)
{
    return a > b ? a : b;
}

static inline float qn__between(float value, float low, float high)
{
    return qn__least(qn__most(value, low), high);
}

/* 1 / d, 0 where that is no number a grid could use. */
static inline float qn__inverse(float d)
{
    float inverse = d != 0 ? 1.0f / d : 0;
    return isfinite(inverse) ? inverse : 0;
}

/* The simple formats, 32 elements, `bits` 4 or 5, q in [0, 2^bits). Returns the scale d before it
 * is rounded to a half; without weights w both follow ggml's rule to the bit, with weights they
 * minimise sum w (x - y)^2.
 *   symmetric: y = d (q - 2^(bits - 1)); the element furthest from zero is -2^(bits - 1) d
 *   affine:    y = d q + m; from the least element to the largest */
float qn__symmetric(const float *x, const float *w, int bits, uint8_t *q);
float qn__affine(const float *x, const float *w, int bits, float *m, uint8_t *q);

/* The fifth bits of 32 elements as a word, then their halves; 20 bytes. */
void qn__five_bits_load(const uint8_t *from, uint8_t *q);
void qn__five_bits_store(const uint8_t *q, uint8_t *to);

#endif
