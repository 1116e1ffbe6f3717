/* Blocks of 32 elements of a cache of keys and values, as ggml lays them out: a half, then 32
 * bytes, or 16 pairs of four bits. */
#include "helpers.h"
#include "quantized.h"

#include <string.h>

double ref_cached(const ref_tensor *t, int64_t i)
{
    int eight = t->type && strcmp(t->type, "q8_0") == 0;
    int four = t->type && strcmp(t->type, "q4_0") == 0;
    if (!eight && !four) return t->d[i];
    int e = (int)(i % 32);
    const double *block = t->d + i / 32 * (eight ? 34 : 18);
    const unsigned char half[2] = {(unsigned char)block[0], (unsigned char)block[1]};
    double d = ref_half_at(half, 0);
    if (eight) return d * (signed char)(unsigned char)block[2 + e];
    int both = (int)block[2 + e % 16];
    return d * ((e < 16 ? both & 15 : both >> 4) - 8);
}

/* The bits of a half that holds the value exactly. */
static void put_half(double value, double *bytes)
{
    for (int bits = 0; bits < 65536; bits++) {
        const unsigned char b[2] = {(unsigned char)(bits & 255), (unsigned char)(bits >> 8)};
        double v = ref_half_at(b, 0);
        if (!(v == value && signbit(v) == signbit(value))) continue;
        bytes[0] = b[0];
        bytes[1] = b[1];
        return;
    }
    bytes[0] = 0;
    bytes[1] = 0x7E; /* no number */
}

void ref_cache_block(const char *type, const double *x, double *bytes)
{
    int eight = strcmp(type, "q8_0") == 0, q[32];
    float largest = 0, finite = 1;
    for (int i = 0; i < 32; i++) {
        if (!isfinite((float)x[i])) finite = 0;
        else largest = fmaxf(largest, fabsf((float)x[i]));
    }
    float sign = -1; /* of the element of the largest magnitude; where both are there, + */
    for (int i = 0; i < 32; i++)
        if ((float)x[i] == largest) sign = 1;
    float scale = eight ? largest * 0x1.020408p-7f : sign * largest * -0.125f;
    float inverse = eight ? 127.0f / largest : sign * -8.0f / largest;
    if (fabsf(scale) > 65504) {
        scale = copysignf(65504, scale);
        inverse = 1 / scale;
    }
    if (largest < 0x1p-100f || !finite) scale = inverse = 0;
    for (int i = 0; i < 32; i++) {
        float y = (float)x[i] * inverse;
        if (eight) q[i] = (int)fminf(fmaxf(rintf(y), -127), 127) & 255;
        else q[i] = (int)fminf(floorf(y + 8.5f), 15);
    }
    put_half(finite ? ref_rounded(scale, 1) : NAN, bytes);
    for (int i = 0; i < (eight ? 32 : 16); i++) bytes[2 + i] = eight ? q[i] : q[i] | q[i + 16] << 4;
}
