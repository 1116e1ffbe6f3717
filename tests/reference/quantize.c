/* x in blocks of 32 of the last dimension: bytes of (float scale, scale times the
 * sum of the integers, int32 that sum negated, that of the first 16 negated, 32 integers). */
#include "helpers.h"

#include <string.h>

static void put(double *to, const void *value, int bytes)
{
    unsigned char raw[4];
    memcpy(raw, value, (size_t)bytes);
    for (int i = 0; i < bytes; i++) to[i] = raw[i];
}

void ref_quantize_fwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0];
    for (int64_t b = 0; b < ref_count(x) / 32; b++) {
        const double *v = x->d + b * 32;
        double *to = call->out[0]->d + b * 48;
        float largest = 0;
        int finite = 1;
        for (int i = 0; i < 32; i++) {
            finite = finite && isfinite((float)v[i]);
            if (finite) largest = fmaxf(largest, fabsf((float)v[i]));
        }
        int none = !finite || largest < 0x1p-100f;
        float scale = !finite ? NAN : none ? 0.0f : largest * 0x1.020408p-7f;
        int32_t sum = 0, first = 0;
        for (int i = 0; i < 32; i++) {
            int8_t q = none ? 0 : (int8_t)rintf((float)v[i] * (127.0f / largest));
            sum -= q;
            if (i < 16) first -= q;
            put(to + 16 + i, &q, 1);
        }
        put(to, &scale, 4);
        float scaled = finite ? scale * (float)-sum : NAN;
        put(to + 4, &scaled, 4);
        put(to + 8, &sum, 4);
        put(to + 12, &first, 4);
    }
}
