/* y = silu(gate) up; dgate = dy up silu'(gate), dup = dy silu(gate). */
#include "helpers.h"

void ref_swiglu_fwd(const ref_call *call)
{
    const ref_tensor *gate = call->in[0], *up = call->in[1];
    for (int64_t i = 0; i < ref_count(gate); i++)
        call->out[0]->d[i] = ref_act(REF_SILU, gate->d[i]) * up->d[i];
}

void ref_swiglu_bwd(const ref_call *call)
{
    const ref_tensor *gate = call->in[0], *up = call->in[1], *dy = call->dout[0];
    ref_tensor *dgate = call->din[0], *dup = call->din[1];
    for (int64_t i = 0; i < ref_count(gate); i++) {
        double d = dy ? dy->d[i] : 0;
        if (dgate) dgate->d[i] = d * up->d[i] * ref_act_slope(REF_SILU, gate->d[i]);
        if (dup) dup->d[i] = d * ref_act(REF_SILU, gate->d[i]);
    }
}
