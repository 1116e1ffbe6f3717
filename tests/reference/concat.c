/* y = a, b, c, d one after another along axis; each gradient is its part of dy. */
#include "helpers.h"

enum { PARTS = 4 };

/* Where element i of part `which` lies in y. */
static int64_t place(const ref_call *call, int which, int64_t i)
{
    const ref_tensor *part = call->in[which];
    int axis = (int)call->attr[0];
    int64_t inner = ref_span(part, axis + 1, part->rank), length = part->dim[axis];
    int64_t before = 0, total = 0;
    for (int p = 0; p < PARTS; p++) {
        if (!call->in[p]) continue;
        if (p < which) before += call->in[p]->dim[axis];
        total += call->in[p]->dim[axis];
    }
    int64_t outer = i / (length * inner), rest = i % (length * inner);
    return (outer * total + before) * inner + rest;
}

void ref_concat_fwd(const ref_call *call)
{
    for (int p = 0; p < PARTS; p++)
        for (int64_t i = 0; call->in[p] && i < ref_count(call->in[p]); i++)
            call->out[0]->d[place(call, p, i)] = call->in[p]->d[i];
}

void ref_concat_bwd(const ref_call *call)
{
    for (int p = 0; p < PARTS; p++)
        for (int64_t i = 0; call->din[p] && i < ref_count(call->din[p]); i++)
            call->din[p]->d[i] = call->dout[0] ? call->dout[0]->d[place(call, p, i)] : 0;
}
