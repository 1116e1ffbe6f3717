/* y = factor x; dx = factor dy. */
#include "helpers.h"

void ref_scale_fwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0];
    for (int64_t i = 0; i < ref_count(x); i++) call->out[0]->d[i] = call->attr[0] * x->d[i];
}

void ref_scale_bwd(const ref_call *call)
{
    ref_tensor *dx = call->din[0];
    for (int64_t i = 0; dx && i < ref_count(dx); i++)
        dx->d[i] = call->dout[0] ? call->attr[0] * call->dout[0]->d[i] : 0;
}
