/* mxfp4: u8 e, u8 qs[16] as q4_0's; y = 2^(e - 127) E2M1[q], E2M1 in {0, .5, 1, 1.5, 2, 3, 4, 6}
 * and their negatives (OCP Microscaling Formats 1.0). The levels are kept doubled, the power
 * halved. */
#include "numeric/block_format.h"
#include "numeric/fit.h"
#include "numeric/level_table.h"

#include <float.h>

/* 2^(e - 128), subnormal for e < 2. */
static float power(int e)
{
    return qn__bits_f32(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

void qn__mxfp4_decode(const uint8_t *block, float *y)
{
    float d = power(block[0]);
    for (int j = 0; j < 16; j++) {
        y[j] = d * (float)qn__e2m1_levels[block[1 + j] & 15];
        y[j + 16] = d * (float)qn__e2m1_levels[block[1 + j] >> 4];
    }
}

/* Number of the nearest level of v, E2M1 doubled; ties go to the smaller. */
static int nearest(float v)
{
    static const float middle[7] = {0.5f, 1.5f, 2.5f, 3.5f, 5, 7, 10};
    int number = 0;
    for (int k = 0; k < 7; k++) number += fabsf(v) > middle[k];
    return v < 0 && number ? number | 8 : number;
}

/* Three powers can be the best: the largest element is 1/3 to 2/3, 2/3 to 4/3 or 4/3 to 8/3 of the
 * last level. */
void qn__mxfp4_encode(const float *x, const float *w, uint8_t *block)
{
    float most = 0;
    double least = DBL_MAX;
    for (int i = 0; i < 32; i++) most = qn__most(most, fabsf(x[i]));
    const int top = most > 0 ? ilogbf(most) + 126 : 0; /* 2 <= most / 2^(e - 127) < 4 */
    for (int e = top > 2 ? top - 2 : 0; e <= (top < 0 ? 0 : top > 252 ? 252 : top); e++) {
        uint8_t q[32];
        double error = 0;
        const double d = ldexp(1, e - 128);
        for (int i = 0; i < 32; i++) {
            q[i] = (uint8_t)nearest((float)(x[i] / d));
            double miss = x[i] - d * qn__e2m1_levels[q[i]];
            error += (w ? w[i] : 1.0) * miss * miss;
        }
        if (error >= least) continue;
        least = error;
        block[0] = (uint8_t)e;
        for (int j = 0; j < 16; j++) block[1 + j] = (uint8_t)(q[j] | q[j + 16] << 4);
    }
}
