/* q5_K: f16 d, f16 dmin, u8 scales[12], u8 qh[32], u8 qs[128]; as q4_K, and bit j of qh[l] is the
 * fifth bit of element l of group j. */
#include "numeric/block_format.h"
#include "numeric/six_bits.h"

void qn__q5_k_decode(const uint8_t *block, float *y)
{
    float d = qn__load_half(block), dmin = qn__load_half(block + 2);
    uint8_t scale[8], min[8];
    qn__six_bits_load(block + 4, scale, min);
    for (int j = 0; j < 8; j++) {
        const uint8_t *qh = block + 16, *qs = block + 48 + j / 2 * 32;
        float a = d * (float)scale[j], b = dmin * (float)min[j];
        for (int l = 0; l < 32; l++)
            y[32 * j + l] = a * (float)((qs[l] >> j % 2 * 4 & 15) | (qh[l] >> j & 1) << 4) - b;
    }
}
