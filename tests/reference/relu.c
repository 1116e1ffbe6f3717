/* y = max(x, 0); dx = dy where x > 0. */
#include "helpers.h"

void ref_relu_fwd(const ref_call *call)
{
    ref_act_fwd(call, REF_RELU);
}

void ref_relu_bwd(const ref_call *call)
{
    ref_act_bwd(call, REF_RELU);
}
