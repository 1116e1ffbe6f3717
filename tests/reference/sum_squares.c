/* y[i] = sum of squares of elements [4096 i, 4096 (i + 1)) of x. */
#include "helpers.h"

void ref_sum_squares_fwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0];
    ref_zero(call->out[0]);
    for (int64_t i = 0; i < ref_count(x); i++) call->out[0]->d[i / 4096] += x->d[i] * x->d[i];
}
