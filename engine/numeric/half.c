#include "numeric/half.h"

float qn__f16_to_f32(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = half >> 10 & 31u;
    uint32_t mantissa = half & 1023u;
    if (exponent == 31) return qn__bits_f32(sign | 0x7F800000u | mantissa << 13);
    if (exponent > 0) return qn__bits_f32(sign | (exponent + 112) << 23 | mantissa << 13);
    /* Zero and denormals: mantissa * 2^-24 is exact in f32. */
    return qn__bits_f32(sign | qn__f32_bits((float)mantissa * 0x1p-24f));
}

uint16_t qn__f32_to_f16(float value)
{
    uint32_t bits = qn__f32_bits(value);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    uint32_t magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return (uint16_t)(sign | 0x7E00u | (magnitude >> 13 & 1023u));
    if (magnitude >= 0x477FF000u) return (uint16_t)(sign | 0x7C00u); /* >= 65520 rounds to inf */
    if (magnitude < 0x38800000u) { /* below 2^-14: a multiple of 2^-24, rounded by the addition */
        float shifted = qn__bits_f32(magnitude) + 0.5f;
        return (uint16_t)(sign | (qn__f32_bits(shifted) - 0x3F000000u));
    }
    uint32_t odd = magnitude >> 13 & 1u;
    return (uint16_t)(sign | ((magnitude + 0xFFFu + odd - 0x38000000u) >> 13));
}

uint16_t qn__f32_to_bf16(float value)
{
    uint32_t bits = qn__f32_bits(value);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}
