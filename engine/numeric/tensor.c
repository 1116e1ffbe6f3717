#include "numeric/tensor.h"

#include "base/check.h"
#include "base/checked.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int bytes;
} dtypes[QN_DTYPE_COUNT] = {
    [QN_F32] = {"f32", 4}, [QN_F16] = {"f16", 2}, [QN_BF16] = {"bf16", 2},
    [QN_I32] = {"i32", 4}, [QN_U8] = {"u8", 1},
};

const char *qn_dtype_name(qn_dtype dtype)
{
    return (unsigned)dtype < QN_DTYPE_COUNT ? dtypes[dtype].name : "?";
}

int qn_dtype_bytes(qn_dtype dtype)
{
    return (unsigned)dtype < QN_DTYPE_COUNT ? dtypes[dtype].bytes : 0;
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
    int64_t product = qn_dtype_bytes(dtype) * QN_PANEL; /* room for any layout's padding */
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
    return elements * (uint64_t)qn_dtype_bytes(desc->dtype);
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
