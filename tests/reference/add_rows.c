/* sum[ids[r]] += x[r]: sum [V, C], x [R, C], ids [R]. */
#include "helpers.h"

void ref_add_rows_fwd(const ref_call *call)
{
    const ref_tensor *sum = call->in[0], *x = call->in[1], *ids = call->in[2];
    int64_t cols = ref_cols(sum);
    for (int64_t i = 0; i < ref_count(sum); i++) call->out[0]->d[i] = sum->d[i];
    for (int64_t r = 0; r < ref_count(ids); r++)
        for (int64_t c = 0; c < cols && ids->d[r] >= 0 && ids->d[r] < (double)sum->dim[0]; c++)
            call->out[0]->d[(int64_t)ids->d[r] * cols + c] += x->d[r * cols + c];
}
