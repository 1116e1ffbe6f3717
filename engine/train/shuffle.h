/* Orders of samples that nobody has to store. */
#ifndef QN_TRAIN_SHUFFLE_H
#define QN_TRAIN_SHUFFLE_H

#include <stdint.h>

/* Place i of a permutation of [0, count) keyed by (seed, epoch): a bijection for every key,
 * i < count <= 2^62. A Feistel network over the smallest even power of two that holds count, walked
 * along until it is inside (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA
 * 2002); its round function is Philox. */
uint64_t qn__shuffle(uint64_t i, uint64_t count, uint64_t seed, uint64_t epoch);

#endif
