/* Scales for quantized blocks: the grid that lies nearest to some numbers. */
#ifndef QN_NUMERIC_FIT_H
#define QN_NUMERIC_FIT_H

#include <math.h>
#include <stdint.h>

/* ---- small helpers: libm's without the calls ---- */

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

/* The nearest integer, ties to even, of |value| < 2^22. */
static inline float qn__nearest(float value)
{
    return value + 12582912.0f - 12582912.0f;
}

/* 1 / d, 0 where that is no number a grid could use. */
static inline float qn__inverse(float d)
{
    float inverse = d != 0 ? 1.0f / d : 0;
    return isfinite(inverse) ? inverse : 0;
}

/* ---- ggml's rules for the simple formats, 32 elements, `bits` 4 or 5, q in [0, 2^bits) ---- */

/* y = d (q - 2^(bits - 1)), the element furthest from zero is -2^(bits - 1) d. Returns d. */
float qn__symmetric(const float *x, int bits, uint8_t *q);
/* The same with the weights of the errors, which are searched for the least; w NULL: the rule
 * above.
 */
float qn__symmetric_weighted(const float *x, const float *w, int bits, uint8_t *q);
/* y = d q + m, from the least element to the largest. Returns d. */
float qn__affine(const float *x, int bits, float *m, uint8_t *q);

/* The fifth bits of 32 elements as a word, then their halves; 20 bytes. */
void qn__five_bits_load(const uint8_t *from, uint8_t *q);
void qn__five_bits_store(const uint8_t *q, uint8_t *to);

/* ---- searches that minimise sum w (x - y)^2 ---- */

/* A block's elements times a power of two, so that squares neither overflow nor vanish, and the
 * weights of their errors, the largest about 1. */
typedef struct qn_fit {
    float x[256], w[256];
    float power; /* of two: element = x * power */
} qn_fit;

/* w NULL: ones. */
void qn__fit_begin(qn_fit *fit, const float *x, const float *w, int count);
/* What a scale of scales becomes when it is kept as a half, in units of fit->x; never zero unless
 * it is. */
float qn__fit_half(const qn_fit *fit, float scale);

/* Groups of `size` elements, y = (d scale) q - dmin min with q in [0, top], scale and min in
 * [0, scale_top]. */
typedef struct qn_affine_shape {
    int groups, size, top, scale_top;
} qn_affine_shape;
typedef struct qn_affine_fit {
    float d, dmin; /* halves */
    uint8_t scale[16], min[16];
    uint8_t q[256];
} qn_affine_fit;
void qn__fit_affine(const qn_fit *fit, const qn_affine_shape *shape, qn_affine_fit *best);
/* One group, y = d q + m, with d and m halves of any size and sign. */
void qn__fit_affine_plain(const qn_fit *fit, int size, int top, float *d, float *m, uint8_t *q);

/* Groups of `size` elements, y = (d scale) level[q - first], scale in [-half, half). Levels are
 * integers: those of a table of sixteen, or all from `first` to -first - 1 (NULL). */
typedef struct qn_level_shape {
    int groups, size, half, first;
    const int8_t *levels;
} qn_level_shape;
typedef struct qn_level_fit {
    float d; /* a half */
    int8_t scale[16];
    uint8_t q[256]; /* number of the level */
} qn_level_fit;
/* half 0: one group, whose scale is d itself. */
void qn__fit_levels(const qn_fit *fit, const qn_level_shape *shape, qn_level_fit *best);

#endif
