/* y = x[.., from:to, ..] along axis; dx is dy there and 0 elsewhere. */
#include "helpers.h"

void ref_slice_fwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0];
    int axis = (int)call->attr[0];
    int64_t from = (int64_t)call->attr[1], length = (int64_t)call->attr[2] - from;
    int64_t inner = ref_span(x, axis + 1, x->rank);
    for (int64_t o = 0; o < ref_span(x, 0, axis); o++)
        for (int64_t i = 0; i < length * inner; i++)
            call->out[0]->d[o * length * inner + i] = x->d[(o * x->dim[axis] + from) * inner + i];
}

void ref_slice_bwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0], *dy = call->dout[0];
    ref_tensor *dx = call->din[0];
    if (!dx) return;
    ref_zero(dx);
    if (!dy) return;
    int axis = (int)call->attr[0];
    int64_t from = (int64_t)call->attr[1], length = (int64_t)call->attr[2] - from;
    int64_t inner = ref_span(x, axis + 1, x->rank);
    for (int64_t o = 0; o < ref_span(x, 0, axis); o++)
        for (int64_t i = 0; i < length * inner; i++)
            dx->d[(o * x->dim[axis] + from) * inner + i] = dy->d[o * length * inner + i];
}
