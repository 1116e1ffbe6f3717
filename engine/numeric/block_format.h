/* The quantized formats, each a pair of functions over one block. */
#ifndef QN_NUMERIC_BLOCK_FORMAT_H
#define QN_NUMERIC_BLOCK_FORMAT_H

#include "numeric/half.h"

enum { QN_BLOCK_SMALL = 32, QN_BLOCK_LARGE = 256 }; /* elements */

/* One row a format: its element type, its stem. */
#define QN_BLOCK_FORMATS(ROW)                                                                      \
    ROW(QN_Q8_0, q8_0)                                                                             \
    ROW(QN_Q4_0, q4_0)                                                                             \
    ROW(QN_Q4_1, q4_1)                                                                             \
    ROW(QN_Q5_0, q5_0)                                                                             \
    ROW(QN_Q5_1, q5_1)                                                                             \
    ROW(QN_Q2_K, q2_k)                                                                             \
    ROW(QN_Q3_K, q3_k)                                                                             \
    ROW(QN_Q4_K, q4_k)                                                                             \
    ROW(QN_Q5_K, q5_k)                                                                             \
    ROW(QN_Q6_K, q6_k)                                                                             \
    ROW(QN_IQ4_NL, iq4_nl)                                                                         \
    ROW(QN_IQ4_XS, iq4_xs)                                                                         \
    ROW(QN_MXFP4, mxfp4)

/* decode: block [bytes] to y [elements]. encode: x [elements], finite, and the weights of their
 * squared errors w [elements] (NULL: all alike) to the block. */
#define QN_BLOCK_DECLARE(type, stem)                                                               \
    void qn__##stem##_decode(const uint8_t *block, float *y);                                      \
    void qn__##stem##_encode(const float *x, const float *w, uint8_t *block);
QN_BLOCK_FORMATS(QN_BLOCK_DECLARE)

static inline uint16_t qn__load_u16(const uint8_t *from)
{
    return (uint16_t)(from[0] | from[1] << 8);
}

static inline void qn__store_u16(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
}

static inline float qn__load_half(const uint8_t *from)
{
    return qn__f16_to_f32(qn__load_u16(from));
}

/* A scale as the block keeps it: the nearest half, never infinite. */
static inline float qn__store_half(uint8_t *to, float value)
{
    if (value > 65504.0f) value = 65504.0f;
    if (value < -65504.0f) value = -65504.0f;
    qn__store_u16(to, qn__f32_to_f16(value));
    return qn__load_half(to);
}

#endif
