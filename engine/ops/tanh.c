#include "ops/unary.h"

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, call->backward ? 3 : 30, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    return qn__unary_fwd(exec, call, "tanh_fwd", "");
}

static qn_status bwd(qn_exec *exec, const qn_call *call)
{
    return qn__unary_bwd(exec, call, "tanh_bwd", "");
}

const qn_op qn__op_tanh = {
    .shape = qn__unary_shape,
    .cost = cost,
    .fwd = fwd,
    .bwd = bwd,
    .bwd_reads_out = 1,
    .fwd_in_place = 1,
    .bwd_in_place = true,
    .variants = QN_VARIANTS_EACH(QN_EXACT),
};
