/* y = keep ? x / (1 - p) : 0; dx = keep ? dy / (1 - p) : 0.
 * rng [4] = (seed low, seed high, step, first row). Element e = first row * (elements a row) +
 * index in x, a row being one index of the first dimension. Word e % 4 of
 * philox(counter (e/4 low, e/4 high, stream, step), key seed): keep when its upper 24 bits, as a
 * fraction, are >= p.
 * Philox 4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011. */
#include "helpers.h"

#include <stdbool.h>

static uint32_t word(double value)
{
    return (uint32_t)(int64_t)value;
}

static void philox(uint32_t counter[4], uint32_t key[2])
{
    for (int round = 0; round < 10; round++) {
        uint64_t left = (uint64_t)counter[0] * 0xD2511F53u;
        uint64_t right = (uint64_t)counter[2] * 0xCD9E8D57u;
        uint32_t next[4] = {(uint32_t)(right >> 32) ^ counter[1] ^ key[0], (uint32_t)right,
                            (uint32_t)(left >> 32) ^ counter[3] ^ key[1], (uint32_t)left};
        for (int i = 0; i < 4; i++) counter[i] = next[i];
        key[0] += 0x9E3779B9u;
        key[1] += 0xBB67AE85u;
    }
}

static bool keeps(const ref_call *call, int64_t index)
{
    const ref_tensor *x = call->in[0];
    const double *rng = call->in[1]->d;
    uint64_t a_row = (uint64_t)(x->rank > 0 ? ref_span(x, 1, x->rank) : 1);
    uint64_t e = (uint64_t)rng[3] * a_row + (uint64_t)index;
    uint32_t counter[4] = {(uint32_t)(e / 4), (uint32_t)(e / 4 >> 32), word(call->attr[1]),
                           word(rng[2])};
    uint32_t key[2] = {word(rng[0]), word(rng[1])};
    philox(counter, key);
    return (counter[e % 4] >> 8) * 0x1p-24 >= (float)call->attr[0]; /* p is a float attribute */
}

static void mask(const ref_call *call, const double *from, double *to)
{
    double p = (float)call->attr[0];
    for (int64_t i = 0; i < ref_count(call->in[0]); i++)
        to[i] = keeps(call, i) ? from[i] / (1 - p) : 0;
}

void ref_dropout_fwd(const ref_call *call)
{
    mask(call, call->in[0]->d, call->out[0]->d);
}

void ref_dropout_bwd(const ref_call *call)
{
    if (!call->din[0]) return;
    if (call->dout[0]) mask(call, call->dout[0]->d, call->din[0]->d);
    else ref_zero(call->din[0]);
}
