/* x [R, H, D], pos [R], table [P, E, 2] of (cos, sin). Pair e = (u, v) of a head of row r becomes
 * (u cos - v sin, u sin + v cos) with table[pos[r]][e]; halves=0: elements (2e, 2e+1), halves=1:
 * (e, e+E). The rest is copied. The gradient turns by the opposite angle. */
#include "helpers.h"

#include <stdbool.h>

/* to = from, turned by direction (1 or -1) times the angle. */
static void turn(const ref_call *call, const double *from, double *to, double direction)
{
    const ref_tensor *x = call->in[0], *pos = call->in[1], *table = call->in[2];
    int64_t rows = x->dim[0], heads = x->dim[1], size = x->dim[2], pairs = table->dim[1];
    bool halves = call->attr[0] != 0;
    for (int64_t i = 0; i < rows * heads * size; i++) to[i] = from[i];
    for (int64_t r = 0; r < rows; r++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t e = 0; e < pairs; e++) {
                const double *angle = table->d + ((int64_t)pos->d[r] * pairs + e) * 2;
                int64_t head = (r * heads + h) * size;
                int64_t u = head + (halves ? e : 2 * e);
                int64_t v = head + (halves ? e + pairs : 2 * e + 1);
                double cosine = angle[0], sine = direction * angle[1];
                to[u] = from[u] * cosine - from[v] * sine;
                to[v] = from[u] * sine + from[v] * cosine;
            }
}

void ref_rope_fwd(const ref_call *call)
{
    turn(call, call->in[0]->d, call->out[0]->d, 1);
}

void ref_rope_bwd(const ref_call *call)
{
    if (!call->din[0]) return;
    if (call->dout[0]) turn(call, call->dout[0]->d, call->din[0]->d, -1);
    else ref_zero(call->din[0]);
}
