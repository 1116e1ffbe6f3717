/* dst[to[r]] = dst[from[r]], its heads' pairs turned by (cos, sin) of table [E, 2] in floats: (2e,
 * 2e+1), or with halves (e, e+E). Elsewhere dst stays. Without table a copy of what is stored. */
#include "helpers.h"
#include "quantized.h"

static void turn(const ref_tensor *table, int halves, int64_t size, double *head)
{
    for (int64_t e = 0; e < size / 2; e++) {
        int64_t i = halves ? e : 2 * e, j = halves ? e + size / 2 : 2 * e + 1;
        float a = (float)head[i], b = (float)head[j];
        float c = (float)table->d[2 * e], s = (float)table->d[2 * e + 1];
        float ac = a * c, bs = b * s, as = a * s, bc = b * c;
        head[i] = (double)(ac - bs);
        head[j] = (double)(as + bc);
    }
}

void ref_turn_rows_fwd(const ref_call *call)
{
    const ref_tensor *dst = call->in[0], *from = call->in[1], *to = call->in[2];
    int64_t size = dst->dim[2], row = dst->dim[1] * size;
    int block = dst->type[0] == 'q', bytes = !block ? 1 : dst->type[1] == '8' ? 34 : 18;
    int64_t stored = block ? row / 32 * bytes : row; /* a row, as it lies there */
    int kind = ref_float_type(dst->type);
    double *out = call->out[0]->d, *head = ref_doubles(size);
    for (int64_t i = 0; i < dst->dim[0] * stored; i++) out[i] = dst->d[i];
    for (int64_t r = 0; r < from->dim[0]; r++) {
        int64_t a = (int64_t)from->d[r], b = (int64_t)to->d[r];
        if (a < 0 || b < 0) continue;
        for (int64_t i = 0; !call->in[3] && i < stored; i++)
            out[b * stored + i] = dst->d[a * stored + i];
        for (int64_t g = 0; call->in[3] && g < dst->dim[1]; g++) {
            for (int64_t d = 0; d < size; d++) head[d] = ref_cached(dst, a * row + g * size + d);
            turn(call->in[3], (int)call->attr[0], size, head);
            double *at = out + b * stored + g * (stored / dst->dim[1]);
            for (int64_t d = 0; block && d < size; d += 32)
                ref_cache_block(dst->type, head + d, at + d / 32 * bytes);
            for (int64_t d = 0; !block && d < size; d++) at[d] = ref_rounded(head[d], kind);
        }
    }
    free(head);
}
