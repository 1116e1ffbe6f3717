/* y[.., j] = x[.., index[.., j]]: x [.., V], index [.., J], y [.., J].
 * dx[.., index[.., j]] += dy[.., j]. */
#include "helpers.h"

void ref_gather_fwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0], *index = call->in[1];
    int64_t n = ref_cols(index);
    for (int64_t r = 0; r < ref_rows(index); r++)
        for (int64_t j = 0; j < n; j++)
            call->out[0]->d[r * n + j] = x->d[r * ref_cols(x) + (int64_t)index->d[r * n + j]];
}

void ref_gather_bwd(const ref_call *call)
{
    const ref_tensor *index = call->in[1], *dy = call->dout[0];
    ref_tensor *dx = call->din[0];
    if (!dx) return;
    ref_zero(dx);
    int64_t n = ref_cols(index);
    for (int64_t r = 0; dy && r < ref_rows(index); r++)
        for (int64_t j = 0; j < n; j++)
            dx->d[r * ref_cols(dx) + (int64_t)index->d[r * n + j]] += dy->d[r * n + j];
}
