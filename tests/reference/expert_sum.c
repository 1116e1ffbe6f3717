/* y[r] = sum over j of weights[r, j] x[r, j], and sigmoid(gate[r]) shared[r]. */
#include "helpers.h"

void ref_expert_sum_fwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0], *weights = call->in[1], *shared = call->in[2];
    int64_t count = x->dim[1], cols = x->dim[2];
    for (int64_t r = 0; r < x->dim[0]; r++)
        for (int64_t i = 0; i < cols; i++) {
            double sum = 0;
            for (int64_t j = 0; j < count; j++)
                sum += weights->d[r * count + j] * x->d[(r * count + j) * cols + i];
            if (shared) sum += shared->d[r * cols + i] / (1 + exp(-call->in[3]->d[r]));
            call->out[0]->d[r * cols + i] = sum;
        }
}
