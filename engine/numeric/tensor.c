#include "numeric/tensor.h"

#include "base/check.h"
#include "base/checked.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int elements, bytes; /* of a block */
} dtypes[QN_DTYPE_COUNT] = {
    [QN_F32] = {"f32", 1, 4},
    [QN_F16] = {"f16", 1, 2},
    [QN_BF16] = {"bf16", 1, 2},
    [QN_I32] = {"i32", 1, 4},
    [QN_U8] = {"u8", 1, 1},
    [QN_Q8_0] = {"q8_0", 32, 34},
    [QN_Q4_0] = {"q4_0", 32, 18},
    [QN_Q4_1] = {"q4_1", 32, 20},
    [QN_Q5_0] = {"q5_0", 32, 22},
    [QN_Q5_1] = {"q5_1", 32, 24},
    [QN_Q2_K] = {"q2_K", 256, 84},
    [QN_Q3_K] = {"q3_K", 256, 110},
    [QN_Q4_K] = {"q4_K", 256, 144},
    [QN_Q5_K] = {"q5_K", 256, 176},
    [QN_Q6_K] = {"q6_K", 256, 210},
    [QN_IQ4_NL] = {"iq4_nl", 32, 18},
    [QN_IQ4_XS] = {"iq4_xs", 256, 136},
    [QN_MXFP4] = {"mxfp4", 32, 17},
    [QN_Q8X] = {"q8x", 32, 48},
};

const char *qn_dtype_name(qn_dtype dtype)
{
    return (unsigned)dtype < QN_DTYPE_COUNT ? dtypes[dtype].name : "?";
}

int qn_dtype_block(qn_dtype dtype, int *bytes)
{
    bool known = (unsigned)dtype < QN_DTYPE_COUNT;
    *bytes = known ? dtypes[dtype].bytes : 0;
    return known ? dtypes[dtype].elements : 1;
}

bool qn_dtype_is_block(qn_dtype dtype)
{
    return (unsigned)dtype < QN_DTYPE_COUNT && dtypes[dtype].elements > 1;
}

int qn_dtype_bytes(qn_dtype dtype)
{
    return (unsigned)dtype < QN_DTYPE_COUNT && dtypes[dtype].elements == 1 ? dtypes[dtype].bytes
                                                                           : 0;
}

bool qn__dtype_parse(const char *name, size_t length, qn_dtype *dtype)
{
    for (int i = 0; i < QN_DTYPE_COUNT; i++) {
        if (strlen(dtypes[i].name) != length || memcmp(name, dtypes[i].name, length) != 0) continue;
        *dtype = (qn_dtype)i;
        return true;
    }
    return false;
}

qn_shape qn_shape_make(int rank, ...)
{
    qn_shape shape = {.rank = rank};
    va_list dims;
    va_start(dims, rank);
    for (int i = 0; i < rank && i < QN_MAX_RANK; i++) shape.dim[i] = va_arg(dims, int);
    va_end(dims);
    return shape;
}

bool qn_shape_equal(const qn_shape *a, const qn_shape *b)
{
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

int64_t qn__shape_span(const qn_shape *shape, int from, int to)
{
    int64_t product = 1;
    for (int i = from; i < to; i++) product *= shape->dim[i];
    return product;
}

int64_t qn_shape_elements(const qn_shape *shape)
{
    return qn__shape_span(shape, 0, shape->rank);
}

qn_status qn__shape_check(const qn_shape *shape, qn_dtype dtype)
{
    QN_CHECK(shape->rank >= 0 && shape->rank <= QN_MAX_RANK, "rank %d is outside [0, %d]",
             shape->rank, QN_MAX_RANK);
    QN_CHECK((unsigned)dtype < QN_DTYPE_COUNT, "dtype %d does not exist", (int)dtype);
    int block_bytes = 0, block = qn_dtype_block(dtype, &block_bytes);
    QN_CHECK(block == 1 || (shape->rank > 0 && shape->dim[shape->rank - 1] % block == 0),
             "rows of %s are cut into blocks of %d elements, and %lld is no multiple of it",
             qn_dtype_name(dtype), block,
             shape->rank > 0 ? (long long)shape->dim[shape->rank - 1] : 1LL);
    int64_t product = block_bytes * QN_PANEL; /* room for any layout's padding */
    for (int i = 0; i < shape->rank; i++) {
        QN_CHECK(shape->dim[i] >= 0, "dimension %d is %lld", i, (long long)shape->dim[i]);
        if (shape->dim[i] == 0) continue;
        QN_CHECK(qn__mul_i64(product, shape->dim[i], &product) && product < INT64_MAX / 4,
                 "a tensor of dimension %d = %lld is larger than 2^61 bytes", i,
                 (long long)shape->dim[i]);
    }
    return QN_OK;
}

uint64_t qn__desc_bytes(const qn_desc *desc)
{
    uint64_t elements = (uint64_t)qn_shape_elements(&desc->shape);
    if (desc->layout == QN_PANELS && desc->shape.rank >= 2) {
        int64_t rows = desc->shape.dim[desc->shape.rank - 2];
        uint64_t padded = qn__round_up((uint64_t)rows, QN_PANEL);
        elements = rows ? elements / (uint64_t)rows * padded : 0;
    }
    int bytes = 0, block = qn_dtype_block(desc->dtype, &bytes);
    return elements / (uint64_t)block * (uint64_t)bytes;
}

const char *qn__desc_text(const qn_desc *desc, char *text, size_t bytes)
{
    size_t used = (size_t)snprintf(text, bytes, "%s%s[", qn_dtype_name(desc->dtype),
                                   desc->layout == QN_PANELS ? ".panels" : "");
    for (int i = 0; i < desc->shape.rank && used < bytes; i++)
        used += (size_t)snprintf(text + used, bytes - used, i ? ",%lld" : "%lld",
                                 (long long)desc->shape.dim[i]);
    if (used < bytes) snprintf(text + used, bytes - used, "]");
    return text;
}
