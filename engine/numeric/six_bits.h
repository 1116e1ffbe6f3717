/* Eight six-bit scales and eight six-bit minima in twelve bytes, as q4_K and q5_K keep them: the
 * first four of each in the low six bits of bytes 0 to 7; of the others the low halves in bytes 8
 * to 11, the high two bits above the first four. */
#ifndef QN_NUMERIC_SIX_BITS_H
#define QN_NUMERIC_SIX_BITS_H

#include <stdint.h>

static inline void qn__six_bits_load(const uint8_t *s, uint8_t scale[8], uint8_t min[8])
{
    for (int j = 0; j < 4; j++) {
        scale[j] = s[j] & 63;
        min[j] = s[j + 4] & 63;
        scale[j + 4] = (uint8_t)((s[j + 8] & 15) | s[j] >> 6 << 4);
        min[j + 4] = (uint8_t)(s[j + 8] >> 4 | s[j + 4] >> 6 << 4);
    }
}

static inline void qn__six_bits_store(const uint8_t scale[8], const uint8_t min[8], uint8_t *s)
{
    for (int j = 0; j < 4; j++) {
        s[j] = (uint8_t)(scale[j] | scale[j + 4] >> 4 << 6);
        s[j + 4] = (uint8_t)(min[j] | min[j + 4] >> 4 << 6);
        s[j + 8] = (uint8_t)((scale[j + 4] & 15) | (min[j + 4] & 15) << 4);
    }
}

#endif
