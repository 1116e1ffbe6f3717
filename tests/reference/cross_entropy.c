/* loss[r] = logsumexp(logits[r]) - logits[r][targets[r]]: logits [R, V].
 * dlogits[r] = dloss[r] (softmax(logits[r]) - onehot). A negative target gives 0 in both. */
#include "helpers.h"

static double log_sum_exp(const double *x, int64_t n)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, x[i]);
    for (int64_t i = 0; i < n; i++) sum += exp(x[i] - largest);
    return largest + log(sum);
}

void ref_cross_entropy_fwd(const ref_call *call)
{
    const ref_tensor *logits = call->in[0], *targets = call->in[1];
    int64_t n = ref_cols(logits);
    for (int64_t r = 0; r < ref_rows(logits); r++) {
        const double *row = logits->d + r * n;
        int64_t target = (int64_t)targets->d[r];
        call->out[0]->d[r] = target < 0 ? 0 : log_sum_exp(row, n) - row[target];
    }
}

void ref_cross_entropy_bwd(const ref_call *call)
{
    const ref_tensor *logits = call->in[0], *targets = call->in[1], *dloss = call->dout[0];
    ref_tensor *dlogits = call->din[0];
    if (!dlogits) return;
    ref_zero(dlogits);
    if (!dloss) return;
    int64_t n = ref_cols(logits);
    for (int64_t r = 0; r < ref_rows(logits); r++) {
        const double *row = logits->d + r * n;
        int64_t target = (int64_t)targets->d[r];
        if (target < 0) continue;
        double lse = log_sum_exp(row, n);
        for (int64_t i = 0; i < n; i++)
            dlogits->d[r * n + i] = dloss->d[r] * (exp(row[i] - lse) - (i == target ? 1 : 0));
    }
}
