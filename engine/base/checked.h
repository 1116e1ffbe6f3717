/* Arithmetic on sizes that come from files or callers: false means "would overflow". */
#ifndef QN_BASE_CHECKED_H
#define QN_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool qn__add_u64(uint64_t a, uint64_t b, uint64_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

static inline bool qn__mul_u64(uint64_t a, uint64_t b, uint64_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

static inline bool qn__mul_i64(int64_t a, int64_t b, int64_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

/* Round up to a multiple of `unit` (a power of two). */
static inline bool qn__pad_u64(uint64_t n, uint64_t unit, uint64_t *padded)
{
    if (!qn__add_u64(n, unit - 1, padded)) return false;
    *padded &= ~(unit - 1);
    return true;
}

/* For sizes already known to be sane. */
static inline uint64_t qn__round_up(uint64_t n, uint64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static inline int64_t qn__ceil_div(int64_t n, int64_t unit)
{
    return (n + unit - 1) / unit;
}

#endif
