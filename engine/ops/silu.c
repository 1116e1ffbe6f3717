#include "ops/exec.h"

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_f32(call));
    qn__out_like(call, 0, 0);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, call->backward ? 28 : 24, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "silu_fwd", "%s", "");
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[0]);
    return qn__exec_elementwise(exec, call, qn__elements(&call->out[0]));
}

static qn_status bwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "silu_bwd", "%s", "");
    qn__exec_tensor(exec, &call->din[0]);
    qn__exec_tensor(exec, &call->dout[0]);
    qn__exec_tensor(exec, &call->in[0]);
    return qn__exec_elementwise(exec, call, qn__elements(&call->dout[0]));
}

const qn_op qn__op_silu = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .bwd = bwd,
    .bwd_reads_in = 1,
    .fwd_in_place = 1,
    .bwd_in_place = true,
    .variants = QN_VARIANTS_WIDE_PLAIN(QN_EXACT),
};
