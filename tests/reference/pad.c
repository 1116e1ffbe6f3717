/* y = x with zeros before and after along axis; dx = the part of dy where x lies. */
#include "helpers.h"

/* Where element i of x lies in y. */
static int64_t place(const ref_call *call, int64_t i)
{
    const ref_tensor *x = call->in[0];
    int axis = (int)call->attr[0];
    int64_t before = (int64_t)call->attr[1], after = (int64_t)call->attr[2];
    int64_t inner = ref_span(x, axis + 1, x->rank), length = x->dim[axis];
    int64_t outer = i / (length * inner), rest = i % (length * inner);
    return (outer * (before + length + after) + before) * inner + rest;
}

void ref_pad_fwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0];
    ref_zero(call->out[0]);
    for (int64_t i = 0; i < ref_count(x); i++) call->out[0]->d[place(call, i)] = x->d[i];
}

void ref_pad_bwd(const ref_call *call)
{
    ref_tensor *dx = call->din[0];
    for (int64_t i = 0; dx && i < ref_count(dx); i++)
        dx->d[i] = call->dout[0] ? call->dout[0]->d[place(call, i)] : 0;
}
