#include "ops/exec.h"

static qn_status shape(qn_call *call)
{
    QN_CHECK(call->in[0].desc.layout == QN_ROWS, "copy: input x is not row-major");
    qn__out_like(call, 0, 0);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 0, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    int bytes = qn_dtype_bytes(call->in[0].desc.dtype);
    qn__exec_begin(exec, call, "copy_fwd", "-DQN_WORD=%s",
                   bytes == 4   ? "uint"
                   : bytes == 2 ? "ushort"
                                : "uchar");
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[0]);
    return qn__exec_elementwise(exec, call, qn__elements(&call->in[0]));
}

static qn_status grad(qn_grad_builder *builder)
{
    if (builder->wanted[0]) builder->din[0] = builder->dout[0];
    return QN_OK;
}

const qn_op qn__op_copy = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .grad = grad,
    .variants = QN_VARIANTS_WIDE_TILE_PLAIN(QN_EXACT),
};
