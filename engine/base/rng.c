#include "base/rng.h"

#include <math.h>

void qn__philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

uint32_t qn__rng_u32(qn_rng *rng)
{
    uint64_t block = rng->next / 4;
    uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)rng->stream,
                           (uint32_t)(rng->stream >> 32)};
    uint32_t key[2] = {(uint32_t)rng->seed, (uint32_t)(rng->seed >> 32)};
    uint32_t out[4];
    qn__philox(counter, key, out);
    return out[rng->next++ % 4];
}

float qn__rng_uniform(qn_rng *rng)
{
    return (float)(qn__rng_u32(rng) >> 8) * 0x1p-24f;
}

uint64_t qn__rng_below(qn_rng *rng, uint64_t bound)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    for (;;) {
        uint64_t high = qn__rng_u32(rng);
        uint64_t value = high << 32 | qn__rng_u32(rng);
        if (value < limit) return value % bound;
    }
}

float qn__rng_normal(qn_rng *rng)
{
    double u = ((double)qn__rng_u32(rng) + 0.5) * 0x1p-32;
    double angle = 2.0 * M_PI * (double)qn__rng_u32(rng) * 0x1p-32;
    return (float)(sqrt(-2.0 * log(u)) * cos(angle));
}
