#include "train/shuffle.h"

#include "base/rng.h"

enum { ROUNDS = 8 };

static uint64_t round_of(uint64_t half, int round, uint64_t seed, uint64_t epoch)
{
    const uint32_t counter[4] = {(uint32_t)half, (uint32_t)epoch, (uint32_t)(epoch >> 32),
                                 0x73680000u + (uint32_t)round};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t out[4];
    qn__philox(counter, key, out);
    return out[0];
}

uint64_t qn__shuffle(uint64_t i, uint64_t count, uint64_t seed, uint64_t epoch)
{
    if (count < 2) return i;
    int half = 1; /* bits */
    while (half < 31 && UINT64_C(1) << (2 * half) < count) half++;
    const uint64_t mask = (UINT64_C(1) << half) - 1;
    do { /* at most four times on average: the square holds less than 4 count places */
        uint64_t left = i >> half, right = i & mask;
        for (int round = 0; round < ROUNDS; round++) {
            uint64_t next = left ^ (round_of(right, round, seed, epoch) & mask);
            left = right;
            right = next;
        }
        i = left << half | right;
    } while (i >= count);
    return i;
}
