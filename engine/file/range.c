#include "file/range.h"

#include "base/check.h"

#include <stdio.h>

qn_status qn__range_desc(const qn_range *range, const char *origin, qn_desc *desc)
{
    char text[128];
    if (range->dtype >= QN_DTYPE_COUNT)
        return qn__fail(QN_UNSUPPORTED,
                        "%s: tensor \"%s\" is %s: this engine reads F32, F16, BF16, I32 and U8",
                        origin, range->name, qn__range_text(range, text, sizeof text));
    if (range->rank > QN_MAX_RANK)
        return qn__fail(QN_UNSUPPORTED, "%s: tensor \"%s\" is %s: more than %d dimensions", origin,
                        range->name, qn__range_text(range, text, sizeof text), QN_MAX_RANK);
    *desc = (qn_desc){.dtype = range->dtype, .layout = QN_ROWS};
    desc->shape.rank = range->rank;
    for (int i = 0; i < range->rank; i++) desc->shape.dim[i] = range->dim[i];
    return qn__shape_check(&desc->shape, desc->dtype);
}

const char *qn__range_text(const qn_range *range, char *text, size_t bytes)
{
    const char *dtype =
        range->dtype < QN_DTYPE_COUNT ? qn_dtype_name(range->dtype) : range->dtype_name;
    size_t used = (size_t)snprintf(text, bytes, "%s[", dtype);
    for (int i = 0; i < range->rank && used < bytes; i++)
        used += (size_t)snprintf(text + used, bytes - used, i ? ",%lld" : "%lld",
                                 (long long)range->dim[i]);
    if (used < bytes) snprintf(text + used, bytes - used, "]");
    return text;
}
