/* y.dim[i] = x.dim[p_i]: y[j_0, j_1, ..] is x at the index whose entry p_i is j_i.
 * dx is dy the other way round. */
#include "helpers.h"

/* The element of x that element `at` of y shows. */
static int64_t source(const ref_call *call, int64_t at)
{
    const ref_tensor *x = call->in[0];
    int64_t index[REF_RANK] = {0}, from = 0;
    for (int i = x->rank - 1; i >= 0; i--) {
        int p = (int)call->attr[i];
        index[p] = at % x->dim[p];
        at /= x->dim[p];
    }
    for (int i = 0; i < x->rank; i++) from = from * x->dim[i] + index[i];
    return from;
}

void ref_permute_fwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0];
    for (int64_t i = 0; i < ref_count(x); i++) call->out[0]->d[i] = x->d[source(call, i)];
}

void ref_permute_bwd(const ref_call *call)
{
    ref_tensor *dx = call->din[0];
    for (int64_t i = 0; dx && i < ref_count(dx); i++)
        dx->d[source(call, i)] = call->dout[0] ? call->dout[0]->d[i] : 0;
}
