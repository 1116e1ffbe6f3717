/* Floats into and out of stored tensors of 16 bits. */
#include "graph/store.h"

#include "base/check.h"
#include "numeric/half.h"

#include <stdlib.h>

static qn_status find(const qn_store *store, const char *name, int64_t count, qn_dtype *dtype)
{
    int index = qn__store_index(store, name);
    QN_CHECK(index >= 0, "the store has no tensor \"%s\"", name);
    const qn_desc *desc = &store->tensors[index].desc;
    *dtype = desc->dtype;
    QN_CHECK(*dtype == QN_F32 || *dtype == QN_F16 || *dtype == QN_BF16,
             "tensor \"%s\" is %s, not of floats", name, qn_dtype_name(*dtype));
    QN_CHECK(qn_shape_elements(&desc->shape) == count, "tensor \"%s\" has %lld elements, not %lld",
             name, (long long)qn_shape_elements(&desc->shape), (long long)count);
    return QN_OK;
}

qn_status qn__store_write_floats(qn_store *store, const char *name, const float *values,
                                 int64_t count)
{
    qn_dtype dtype;
    QN_TRY(find(store, name, count, &dtype));
    if (dtype == QN_F32) return qn_store_write(store, name, values, (size_t)count * sizeof *values);
    uint16_t *halves = malloc((size_t)count * sizeof *halves + 1);
    if (!halves) return qn__fail(QN_OS_ERROR, "no memory for %lld numbers", (long long)count);
    for (int64_t i = 0; i < count; i++)
        halves[i] = dtype == QN_F16 ? qn__f32_to_f16(values[i]) : qn__f32_to_bf16(values[i]);
    qn_status status = qn_store_write(store, name, halves, (size_t)count * sizeof *halves);
    free(halves);
    return status;
}

qn_status qn__store_read_floats(qn_store *store, const char *name, float *values, int64_t count)
{
    qn_dtype dtype;
    QN_TRY(find(store, name, count, &dtype));
    if (dtype == QN_F32) return qn_store_read(store, name, values, (size_t)count * sizeof *values);
    uint16_t *halves = malloc((size_t)count * sizeof *halves + 1);
    if (!halves) return qn__fail(QN_OS_ERROR, "no memory for %lld numbers", (long long)count);
    qn_status status = qn_store_read(store, name, halves, (size_t)count * sizeof *halves);
    for (int64_t i = 0; status == QN_OK && i < count; i++)
        values[i] = dtype == QN_F16 ? qn__f16_to_f32(halves[i]) : qn__bf16_to_f32(halves[i]);
    free(halves);
    return status;
}
