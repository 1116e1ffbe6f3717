/* dst[index[r]] = src[r]: dst [S, ..], src [R, ..], index [R] without repeats.
 * A negative index is skipped. */
#include "helpers.h"

void ref_scatter_rows_fwd(const ref_call *call)
{
    const ref_tensor *dst = call->in[0], *src = call->in[1], *index = call->in[2];
    int64_t width = ref_span(src, 1, src->rank);
    for (int64_t i = 0; i < ref_count(dst); i++) call->out[0]->d[i] = dst->d[i];
    for (int64_t r = 0; r < src->dim[0]; r++)
        for (int64_t i = 0; index->d[r] >= 0 && i < width; i++)
            call->out[0]->d[(int64_t)index->d[r] * width + i] = src->d[r * width + i];
}
