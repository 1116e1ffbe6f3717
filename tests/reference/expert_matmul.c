/* y[p] = w[expert of p] x[row of p]: w [E, N, K]. */
#include "experts.h"
#include "helpers.h"

void ref_expert_matmul_fwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0], *w = call->in[1], *order = call->in[2];
    int64_t n = w->dim[1], depth = w->dim[2];
    for (int64_t place = 0; place < ref_count(order); place++) {
        int64_t p = (int64_t)order->d[place], e = ref_expert_at(call->in[3], place);
        const double *row = x->d + ref_row_of_pair(x, order, p) * depth;
        for (int64_t i = 0; i < n; i++) {
            double sum = 0;
            for (int64_t k = 0; k < depth; k++) sum += row[k] * w->d[(e * n + i) * depth + k];
            call->out[0]->d[p * n + i] = sum;
        }
    }
}
