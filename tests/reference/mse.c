/* loss [1] = mean over all N elements of (x - target)^2.
 * dx = 2 dloss (x - target) / N, dtarget = -dx. */
#include "helpers.h"

void ref_mse_fwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0], *target = call->in[1];
    double sum = 0;
    for (int64_t i = 0; i < ref_count(x); i++)
        sum += (x->d[i] - target->d[i]) * (x->d[i] - target->d[i]);
    call->out[0]->d[0] = sum / (double)ref_count(x);
}

void ref_mse_bwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0], *target = call->in[1];
    double dloss = call->dout[0] ? call->dout[0]->d[0] : 0;
    for (int64_t i = 0; i < ref_count(x); i++) {
        double d = 2 * dloss * (x->d[i] - target->d[i]) / (double)ref_count(x);
        if (call->din[0]) call->din[0]->d[i] = d;
        if (call->din[1]) call->din[1]->d[i] = -d;
    }
}
