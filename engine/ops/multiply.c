#include "ops/broadcast.h"

enum { A, B };

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 1, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    return qn__broadcast_fwd(exec, call, "multiply_fwd");
}

static qn_status grad(qn_grad_builder *builder)
{
    int dy = builder->dout[0], product;
    if (dy < 0) return QN_OK;
    if (builder->wanted[A])
        QN_TRY(
            builder->emit(builder, "multiply", (int[]){dy, builder->in[B]}, 2, &builder->din[A]));
    if (!builder->wanted[B]) return QN_OK;
    QN_TRY(builder->emit(builder, "multiply", (int[]){dy, builder->in[A]}, 2, &product));
    return qn__broadcast_fold(builder, product, &builder->din[B]);
}

const qn_op qn__op_multiply = {
    .shape = qn__broadcast_shape,
    .cost = cost,
    .fwd = fwd,
    .grad = grad,
    .bwd_reads_in = 1u << A | 1u << B,
    .fwd_in_place = 1u << A,
    .variants = QN_VARIANTS_EACH(QN_EXACT),
};
