#include "ops/broadcast.h"

enum { A, B };

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 1, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    return qn__broadcast_fwd(exec, call, "add_fwd");
}

static qn_status grad(qn_grad_builder *builder)
{
    int dy = builder->dout[0];
    if (dy < 0) return QN_OK;
    if (builder->wanted[A]) builder->din[A] = dy;
    if (builder->wanted[B]) QN_TRY(qn__broadcast_fold(builder, dy, &builder->din[B]));
    return QN_OK;
}

const qn_op qn__op_add = {
    .shape = qn__broadcast_shape,
    .cost = cost,
    .fwd = fwd,
    .grad = grad,
    .fwd_in_place = 1u << A,
    .variants = QN_VARIANTS_EACH(QN_EXACT),
};
