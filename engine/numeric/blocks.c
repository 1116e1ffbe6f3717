#include "numeric/blocks.h"

#include "base/check.h"
#include "numeric/block_format.h"

#include <math.h>
#include <stdbool.h>

static const struct {
    void (*decode)(const uint8_t *block, float *y);
    void (*encode)(const float *x, const float *w, uint8_t *block);
} formats[QN_DTYPE_COUNT] = {
#define ROW(type, stem) [type] = {qn__##stem##_decode, qn__##stem##_encode},
    QN_BLOCK_FORMATS(ROW)
#undef ROW
};

static qn_status check(qn_dtype type, int64_t elements, int *block, int *bytes)
{
    QN_CHECK((unsigned)type < QN_DTYPE_COUNT && formats[type].decode,
             "%s has no blocks; quantized types do, such as q8_0 or q4_K", qn_dtype_name(type));
    *block = qn_dtype_block(type, bytes);
    QN_CHECK(elements >= 0 && elements % *block == 0,
             "%lld elements are no whole number of %s blocks, %d elements each",
             (long long)elements, qn_dtype_name(type), *block);
    return QN_OK;
}

qn_status qn__blocks_decode(qn_dtype type, const void *blocks, int64_t elements, float *values)
{
    int block = 1, bytes = 0;
    QN_TRY(check(type, elements, &block, &bytes));
    const uint8_t *from = blocks;
    for (int64_t i = 0; i < elements / block; i++)
        formats[type].decode(from + i * bytes, values + i * block);
    return QN_OK;
}

/* Is every one a number? *at: the first that is none. */
static bool all_finite(const float *values, int64_t count, int64_t *at)
{
    for (int64_t i = 0; i < count; i++) {
        *at = i;
        if (!isfinite(values[i])) return false;
    }
    return true;
}

qn_status qn__blocks_encode(qn_dtype type, const float *values, int64_t elements, int64_t row,
                            const float *importance, void *blocks)
{
    int block = 1, bytes = 0;
    int64_t at = 0;
    QN_TRY(check(type, elements, &block, &bytes));
    QN_CHECK(row > 0 && row % block == 0 && elements % row == 0,
             "rows of %lld elements: %s wants multiples of %d that divide the %lld there are",
             (long long)row, qn_dtype_name(type), block, (long long)elements);
    if (!all_finite(values, elements, &at))
        return qn__fail(QN_NON_FINITE, "element %lld is %g; only numbers can be quantized",
                        (long long)at, (double)values[at]);
    if (importance && !all_finite(importance, row, &at))
        return qn__fail(QN_NON_FINITE, "the importance of column %lld is %g", (long long)at,
                        (double)importance[at]);
    uint8_t *to = blocks;
    for (int64_t i = 0; i < elements / block; i++) {
        const float *w = importance ? importance + i * block % row : NULL;
        formats[type].encode(values + i * block, w, to + i * bytes);
    }
    return QN_OK;
}
