/* y_i = exp(x_i) / sum_j exp(x_j) over the last dimension; dx_i = y_i (dy_i - sum_j dy_j y_j). */
#include "helpers.h"

static void row_softmax(const double *x, double *y, int64_t n)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, x[i]);
    for (int64_t i = 0; i < n; i++) {
        y[i] = exp(x[i] - largest);
        sum += y[i];
    }
    for (int64_t i = 0; i < n; i++) y[i] /= sum;
}

void ref_softmax_fwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0];
    int64_t n = ref_cols(x);
    for (int64_t r = 0; r < ref_rows(x); r++) row_softmax(x->d + r * n, call->out[0]->d + r * n, n);
}

void ref_softmax_bwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0], *dy = call->dout[0];
    ref_tensor *dx = call->din[0];
    if (!dx) return;
    ref_zero(dx);
    if (!dy) return;
    int64_t n = ref_cols(x);
    double *y = ref_doubles(n);
    for (int64_t r = 0; r < ref_rows(x); r++) {
        const double *d = dy->d + r * n;
        double mean = 0;
        row_softmax(x->d + r * n, y, n);
        for (int64_t i = 0; i < n; i++) mean += d[i] * y[i];
        for (int64_t i = 0; i < n; i++) dx->d[r * n + i] = y[i] * (d[i] - mean);
    }
    free(y);
}
