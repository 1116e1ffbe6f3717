/* y = sum, mean or max of x along axis, which goes away.
 * dx = dy, dy / length, or dy at the first largest and 0 elsewhere. */
#include "helpers.h"

enum { SUM, MEAN, MAX };

/* Position along axis of the first largest; x is the first element, stride apart. */
static int64_t first_largest(const double *x, int64_t length, int64_t stride)
{
    int64_t best = 0;
    for (int64_t i = 1; i < length; i++)
        if (x[i * stride] > x[best * stride]) best = i;
    return best;
}

void ref_reduce_fwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0];
    int axis = (int)call->attr[0], kind = (int)call->attr[1];
    int64_t inner = ref_span(x, axis + 1, x->rank), length = x->dim[axis];
    for (int64_t o = 0; o < ref_span(x, 0, axis); o++)
        for (int64_t i = 0; i < inner; i++) {
            const double *line = x->d + o * length * inner + i;
            double y = 0;
            for (int64_t l = 0; l < length; l++) y += line[l * inner];
            if (kind == MEAN) y /= (double)length;
            if (kind == MAX) y = line[first_largest(line, length, inner) * inner];
            call->out[0]->d[o * inner + i] = y;
        }
}

void ref_reduce_bwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0], *dy = call->dout[0];
    ref_tensor *dx = call->din[0];
    if (!dx) return;
    ref_zero(dx);
    if (!dy) return;
    int axis = (int)call->attr[0], kind = (int)call->attr[1];
    int64_t inner = ref_span(x, axis + 1, x->rank), length = x->dim[axis];
    for (int64_t o = 0; o < ref_span(x, 0, axis); o++)
        for (int64_t i = 0; i < inner; i++) {
            int64_t start = o * length * inner + i;
            double d = dy->d[o * inner + i];
            int64_t largest = first_largest(x->d + start, length, inner);
            for (int64_t l = 0; l < length; l++) {
                double part = kind == SUM ? 1 : kind == MEAN ? 1 / (double)length : l == largest;
                dx->d[start + l * inner] = d * part;
            }
        }
}
