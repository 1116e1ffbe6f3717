/* y = tanh x; dx = dy (1 - y^2). */
#include "helpers.h"

void ref_tanh_fwd(const ref_call *call)
{
    ref_act_fwd(call, REF_TANH);
}

void ref_tanh_bwd(const ref_call *call)
{
    ref_act_bwd(call, REF_TANH);
}
