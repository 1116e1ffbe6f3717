/* 16-bit floats on the host: IEEE half and bfloat16, round to nearest even, NaN stays NaN. */
#ifndef QN_NUMERIC_HALF_H
#define QN_NUMERIC_HALF_H

#include <stdint.h>
#include <string.h>

static inline float qn__bits_f32(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static inline uint32_t qn__f32_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

float qn__f16_to_f32(uint16_t half);
uint16_t qn__f32_to_f16(float value);

static inline float qn__bf16_to_f32(uint16_t half)
{
    return qn__bits_f32((uint32_t)half << 16);
}

uint16_t qn__f32_to_bf16(float value);

#endif
