/* XXH3, 64 bits: cache keys and checksums, not security. */
#ifndef QN_BASE_HASH_H
#define QN_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t qn__hash(const void *bytes, size_t count);
uint64_t qn__hash_seeded(const void *bytes, size_t count, uint64_t seed);

/* Streaming, for data that does not fit at once. */
typedef struct qn_hasher qn_hasher;
qn_hasher *qn__hasher_create(void);
void qn__hasher_add(qn_hasher *hasher, const void *bytes, size_t count);
uint64_t qn__hasher_value(const qn_hasher *hasher);
void qn__hasher_destroy(qn_hasher **hasher);

#endif
