/* Counter-based random numbers: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). The same key and counter give the same bits on host and device, in any order.
 */
#ifndef QN_BASE_RNG_H
#define QN_BASE_RNG_H

#include <stdint.h>

/* out = philox(counter, key). */
void qn__philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* A stream keyed by (seed, stream); element i is always the same number. */
typedef struct qn_rng {
    uint64_t seed;
    uint64_t stream;
    uint64_t next; /* index of the next element */
} qn_rng;

uint32_t qn__rng_u32(qn_rng *rng);
/* Uniform in [0, 1), 24 bits. */
float qn__rng_uniform(qn_rng *rng);
/* Uniform in [0, bound), unbiased; bound > 0. */
uint64_t qn__rng_below(qn_rng *rng, uint64_t bound);
/* Standard normal (Box-Muller in double). */
float qn__rng_normal(qn_rng *rng);

#endif
