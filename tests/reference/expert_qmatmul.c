/* Pair by pair the product that qmatmul's reference makes of one row and one matrix. */
#include "experts.h"
#include "helpers.h"
#include "quantized.h"

static void product(const ref_call *call, const ref_tensor *w, ref_tensor *y)
{
    const ref_tensor *x = call->in[0], *order = call->in[2];
    int64_t depth = ref_cols(x), row = depth / 32 * 48, n = w->dim[1];
    for (int64_t place = 0; place < ref_count(order); place++) {
        int64_t p = (int64_t)order->d[place], e = ref_expert_at(call->in[3], place);
        ref_tensor one = {.rank = 2, .dim = {1, depth}, .type = x->type},
                   matrix = {.rank = 2, .dim = {n, depth}, .type = w->type},
                   out = {.rank = 2, .dim = {1, n}, .d = y->d + p * n};
        one.d = x->d + ref_row_of_pair(x, order, p) * row;
        matrix.d = w->d + e * ref_panels_bytes(w);
        ref_qmatmul_fwd(&(ref_call){.in = {&one, &matrix}, .out = {&out}});
    }
}

void ref_expert_qmatmul_fwd(const ref_call *call)
{
    product(call, call->in[1], call->out[0]);
    if (call->out[1]) product(call, call->in[4], call->out[1]);
}
