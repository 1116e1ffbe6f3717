/* y = x rstd gamma over the last dimension; rstd = 1/sqrt(mean(x^2) + eps).
 * With g = dy gamma: dx = rstd (g - x rstd^2 mean(g x)), dgamma = sum dy x rstd. */
#include "helpers.h"

static double rstd_of(const double *x, int64_t n, double eps)
{
    double squares = 0;
    for (int64_t i = 0; i < n; i++) squares += x[i] * x[i];
    return 1 / sqrt(squares / (double)n + eps);
}

void ref_rms_norm_fwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0], *gamma = call->in[1];
    int64_t n = ref_cols(x);
    for (int64_t r = 0; r < ref_rows(x); r++) {
        double rstd = rstd_of(x->d + r * n, n, call->attr[0]);
        for (int64_t i = 0; i < n; i++)
            call->out[0]->d[r * n + i] = x->d[r * n + i] * rstd * gamma->d[i];
    }
}

void ref_rms_norm_bwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0], *gamma = call->in[1], *dy = call->dout[0];
    ref_tensor *dx = call->din[0], *dgamma = call->din[1];
    int64_t n = ref_cols(x);
    if (dx) ref_zero(dx);
    if (dgamma) ref_zero(dgamma);
    if (!dy) return;
    for (int64_t r = 0; r < ref_rows(x); r++) {
        const double *row = x->d + r * n, *d = dy->d + r * n;
        double rstd = rstd_of(row, n, call->attr[0]), mean_gx = 0;
        for (int64_t i = 0; i < n; i++) {
            mean_gx += d[i] * gamma->d[i] * row[i] / (double)n;
            if (dgamma) dgamma->d[i] += d[i] * row[i] * rstd;
        }
        for (int64_t i = 0; dx && i < n; i++)
            dx->d[r * n + i] = rstd * (d[i] * gamma->d[i] - row[i] * rstd * rstd * mean_gx);
    }
}
