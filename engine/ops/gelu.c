#include "ops/unary.h"

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, call->backward ? 40 : 30, cost);
}

/* Which GELU, as the kernels know it. */
static const char *form(const qn_call *call)
{
    return call->attr[0].i ? "-DQN_ERF=1" : "-DQN_ERF=0";
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    return qn__unary_fwd(exec, call, "gelu_fwd", form(call));
}

static qn_status bwd(qn_exec *exec, const qn_call *call)
{
    return qn__unary_bwd(exec, call, "gelu_bwd", form(call));
}

const qn_op qn__op_gelu = {
    .shape = qn__unary_shape,
    .cost = cost,
    .fwd = fwd,
    .bwd = bwd,
    .bwd_reads_in = 1,
    .fwd_in_place = 1,
    .bwd_in_place = true,
    .variants = QN_VARIANTS_EACH(QN_EXACT),
};
