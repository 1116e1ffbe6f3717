#include "ops/exec.h"

#include <stdio.h>

/* QN_F32, QN_F16, QN_BF16 are 0, 1, 2, as the words of `to` and QN_FROM and QN_TO in cast.clh. */
static qn_status shape(qn_call *call)
{
    const qn_desc *x = &call->in[0].desc;
    QN_CHECK(x->dtype == QN_F32 || x->dtype == QN_F16 || x->dtype == QN_BF16,
             "cast: input x is %s; it must be a float type", qn_dtype_name(x->dtype));
    QN_CHECK(x->layout == QN_ROWS, "cast: input x is not row-major");
    qn__out_shape(call, 0, (qn_dtype)call->attr[0].i, &x->shape);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 1, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "cast_fwd", "-DQN_FROM=%d -DQN_TO=%d", (int)call->in[0].desc.dtype,
                   (int)call->out[0].desc.dtype);
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[0]);
    return qn__exec_elementwise(exec, call, qn__elements(&call->in[0]));
}

static qn_status grad(qn_grad_builder *builder)
{
    char line[32];
    if (builder->dout[0] < 0 || !builder->wanted[0]) return QN_OK;
    snprintf(line, sizeof line, "cast to=%s", qn_dtype_name(builder->call->in[0].desc.dtype));
    return builder->emit(builder, line, builder->dout, 1, &builder->din[0]);
}

const qn_op qn__op_cast = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .grad = grad,
    .variants = QN_VARIANTS_WIDE_TILE_PLAIN(QN_EXACT),
};
