#include "ops/exec.h"

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_f32(call));
    QN_TRY(qn__check_rank(call, 0, 1, QN_MAX_RANK));
    qn__out_like(call, 0, 0);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, call->backward ? 4 : 24, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "softmax_fwd", "%s", "");
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[0]);
    qn__exec_i32(exec, qn__cols(&call->out[0]));
    return qn__exec_rows(exec, call, qn__rows(&call->out[0]));
}

static qn_status bwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "softmax_bwd", "%s", "");
    qn__exec_tensor(exec, &call->din[0]);
    qn__exec_tensor(exec, &call->dout[0]);
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_i32(exec, qn__cols(&call->out[0]));
    return qn__exec_rows(exec, call, qn__rows(&call->out[0]));
}

const qn_op qn__op_softmax = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .bwd = bwd,
    .bwd_reads_out = 1,
    .fwd_in_place = 1,
    .bwd_in_place = true,
    .variants = QN_VARIANTS_WIDE_TILE_PLAIN(QN_LANES64),
};
