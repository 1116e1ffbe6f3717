/* y = x / (1 + exp(-x)). */
#include "helpers.h"

void ref_silu_fwd(const ref_call *call)
{
    ref_act_fwd(call, REF_SILU);
}

void ref_silu_bwd(const ref_call *call)
{
    ref_act_bwd(call, REF_SILU);
}
