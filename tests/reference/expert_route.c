/* ids[r]: the largest logits of a row, largest first, of equals the lower number; weights: softmax
 * at ids, over all experts or (norm) over the chosen. */
#include "helpers.h"

/* Is logit i of the row chosen before logit j? */
static int before(const double *x, int64_t i, int64_t j)
{
    return x[i] > x[j] || (x[i] == x[j] && i < j);
}

void ref_expert_route_fwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0];
    int64_t n = ref_cols(x), count = (int64_t)call->attr[0];
    for (int64_t r = 0; r < ref_rows(x); r++) {
        const double *row = x->d + r * n;
        double sum = 0;
        for (int64_t i = 0; i < n; i++) {
            int64_t rank = 0;
            for (int64_t j = 0; j < n; j++) rank += before(row, j, i);
            if (rank < count) {
                call->out[1]->d[r * count + rank] = (double)i;
                call->out[0]->d[r * count + rank] = exp(row[i]);
            }
            if (rank < count || call->attr[1] == 0) sum += exp(row[i]);
        }
        for (int64_t c = 0; c < count; c++) call->out[0]->d[r * count + c] /= sum;
    }
}
