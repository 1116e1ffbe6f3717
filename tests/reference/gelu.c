/* erf=0: y = 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)));
 * erf=1: y = 0.5 x (1 + erf(x/sqrt 2)). */
#include "helpers.h"

void ref_gelu_fwd(const ref_call *call)
{
    ref_act_fwd(call, call->attr[0] != 0 ? REF_GELU_ERF : REF_GELU);
}

void ref_gelu_bwd(const ref_call *call)
{
    ref_act_bwd(call, call->attr[0] != 0 ? REF_GELU_ERF : REF_GELU);
}
