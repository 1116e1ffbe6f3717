#include "base/hash.h"

#include <xxhash.h>

uint64_t qn__hash(const void *bytes, size_t count)
{
    return XXH3_64bits(bytes, count);
}

uint64_t qn__hash_seeded(const void *bytes, size_t count, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, count, seed);
}

qn_hasher *qn__hasher_create(void)
{
    XXH3_state_t *state = XXH3_createState();
    if (state) XXH3_64bits_reset(state);
    return (qn_hasher *)state;
}

void qn__hasher_add(qn_hasher *hasher, const void *bytes, size_t count)
{
    XXH3_64bits_update((XXH3_state_t *)hasher, bytes, count);
}

uint64_t qn__hasher_value(const qn_hasher *hasher)
{
    return XXH3_64bits_digest((const XXH3_state_t *)hasher);
}

void qn__hasher_destroy(qn_hasher **hasher)
{
    XXH3_freeState((XXH3_state_t *)*hasher);
    *hasher = NULL;
}
