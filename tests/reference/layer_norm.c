/* xhat = (x - mean) rstd, y = xhat gamma + beta over the last dimension;
 * rstd = 1/sqrt(variance + eps). With g = dy gamma:
 * dx = rstd (g - mean(g) - xhat mean(g xhat)), dgamma = sum dy xhat, dbeta = sum dy. */
#include "helpers.h"

static void moments(const double *x, int64_t n, double eps, double *mean, double *rstd)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    *mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) squares += (x[i] - *mean) * (x[i] - *mean);
    *rstd = 1 / sqrt(squares / (double)n + eps);
}

void ref_layer_norm_fwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0], *gamma = call->in[1], *beta = call->in[2];
    int64_t n = ref_cols(x);
    for (int64_t r = 0; r < ref_rows(x); r++) {
        const double *row = x->d + r * n;
        double mean, rstd;
        moments(row, n, call->attr[0], &mean, &rstd);
        for (int64_t i = 0; i < n; i++)
            call->out[0]->d[r * n + i] =
                (row[i] - mean) * rstd * gamma->d[i] + (beta ? beta->d[i] : 0);
    }
}

void ref_layer_norm_bwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0], *gamma = call->in[1], *dy = call->dout[0];
    ref_tensor *dx = call->din[0], *dgamma = call->din[1], *dbeta = call->din[2];
    int64_t n = ref_cols(x);
    for (int i = 0; i < 3; i++)
        if (call->din[i]) ref_zero(call->din[i]);
    if (!dy) return;
    for (int64_t r = 0; r < ref_rows(x); r++) {
        const double *row = x->d + r * n, *d = dy->d + r * n;
        double mean, rstd, mean_g = 0, mean_gx = 0;
        moments(row, n, call->attr[0], &mean, &rstd);
        for (int64_t i = 0; i < n; i++) {
            double xhat = (row[i] - mean) * rstd;
            mean_g += d[i] * gamma->d[i] / (double)n;
            mean_gx += d[i] * gamma->d[i] * xhat / (double)n;
            if (dgamma) dgamma->d[i] += d[i] * xhat;
            if (dbeta) dbeta->d[i] += d[i];
        }
        for (int64_t i = 0; dx && i < n; i++) {
            double xhat = (row[i] - mean) * rstd;
            dx->d[r * n + i] = rstd * (d[i] * gamma->d[i] - mean_g - xhat * mean_gx);
        }
    }
}
