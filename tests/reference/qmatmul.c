/* y[r, i] = sum over k of x[r, k] w[i, k]: x in blocks of 32 (float scale, 12 bytes of sums, 32
 * integers), w quantized. The numbers are floats, as the op says; nothing else would judge bits. */
#include "helpers.h"
#include "quantized.h"

#include <string.h>

/* Block `b` of 32 of row r: its scale and integers. */
static float take_x(const ref_tensor *x, int64_t r, int64_t b, int *values)
{
    const double *at = x->d + (r * (x->dim[1] / 32) + b) * 48;
    unsigned char bytes[4];
    float scale;
    for (int i = 0; i < 4; i++) bytes[i] = (unsigned char)at[i];
    memcpy(&scale, bytes, 4);
    for (int i = 0; i < 32; i++) values[i] = (signed char)(unsigned char)at[16 + i];
    return scale;
}

static float add_block(const ref_tensor *w, int64_t i, int64_t b, float dx, const int *a, float acc)
{
    ref_element first = ref_quantized(w, i, b * 32);
    for (int from = 0; from < 32; from += first.group) {
        ref_element e = ref_quantized(w, i, b * 32 + from);
        int dot = 0, sum = 0;
        for (int l = from; l < from + first.group; l++) {
            dot += a[l] * ref_quantized(w, i, b * 32 + l).value;
            sum += a[l];
        }
        acc = fmaf((float)dot, e.scale * dx, acc);
        if (e.has_plus) acc = fmaf(e.plus, dx * (float)sum, acc);
    }
    return acc;
}

static void product(const ref_tensor *x, const ref_tensor *w, const ref_tensor *bias,
                    const ref_tensor *c, ref_tensor *y)
{
    int64_t blocks = x->dim[1] / 32, cols = w->dim[0];
    for (int64_t r = 0; r < x->dim[0]; r++)
        for (int64_t i = 0; i < cols; i++) {
            float total = 0, acc = 0;
            for (int64_t b = 0; b < blocks; b++) {
                int a[32];
                float dx = take_x(x, r, b, a);
                acc = add_block(w, i, b, dx, a, acc);
                if (b % 16 != 15 && b != blocks - 1) continue;
                total = total + acc;
                acc = 0;
            }
            if (bias) total = total + (float)bias->d[i];
            if (c) total = total + (float)c->d[r * cols + i];
            y->d[r * cols + i] = total;
        }
}

void ref_qmatmul_fwd(const ref_call *call)
{
    const ref_tensor *const *in = call->in;
    product(in[0], in[1], in[2], in[3], call->out[0]);
    if (call->out[1]) product(in[0], in[4], in[5], NULL, call->out[1]);
    if (call->out[2]) product(in[0], in[6], in[7], NULL, call->out[2]);
}
