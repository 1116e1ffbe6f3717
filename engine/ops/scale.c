#include "ops/unary.h"

#include <stdio.h>

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 1, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "scale_fwd", "%s", "");
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[0]);
    qn__exec_f32(exec, call->attr[0].f);
    return qn__exec_elementwise(exec, call, qn__elements(&call->in[0]));
}

static qn_status grad(qn_grad_builder *builder)
{
    char line[64];
    if (builder->dout[0] < 0 || !builder->wanted[0]) return QN_OK;
    snprintf(line, sizeof line, "scale factor=%.9g", builder->call->attr[0].f);
    return builder->emit(builder, line, builder->dout, 1, &builder->din[0]);
}

const qn_op qn__op_scale = {
    .shape = qn__unary_shape,
    .cost = cost,
    .fwd = fwd,
    .grad = grad,
    .fwd_in_place = 1,
    .variants = QN_VARIANTS_EACH(QN_EXACT),
};
