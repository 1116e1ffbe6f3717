/* dst[index[r]] = src[r]: dst [S, ..], src [R, ..], index [R] without repeats.
 * A negative index is skipped; dst of another float type: rounded to it; in blocks:
 * ref_cache_block. */
#include "helpers.h"
#include "quantized.h"

void ref_scatter_rows_fwd(const ref_call *call)
{
    const ref_tensor *dst = call->in[0], *src = call->in[1], *index = call->in[2];
    int64_t width = ref_span(src, 1, src->rank), block = dst->type[0] == 'q' ? 32 : 1;
    int64_t bytes = block == 1 ? 1 : dst->type[1] == '8' ? 34 : 18; /* of it: or one element */
    int kind = ref_float_type(dst->type);
    for (int64_t i = 0; i < ref_count(dst) / block * bytes; i++) call->out[0]->d[i] = dst->d[i];
    for (int64_t r = 0; r < src->dim[0]; r++)
        for (int64_t b = 0; index->d[r] >= 0 && b < width / block; b++) {
            double *to = call->out[0]->d + ((int64_t)index->d[r] * width / block + b) * bytes;
            const double *from = src->d + r * width + b * block;
            if (block > 1) ref_cache_block(dst->type, from, to);
            else *to = kind ? ref_rounded(*from, kind) : *from;
        }
}
