#include "ops/exec.h"

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_elements(call, 1));
    QN_TRY(qn__check_rank(call, 0, 1, QN_MAX_RANK));
    return qn__out_q8x(call, 0, 0);
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 4, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "quantize_fwd", "%s", "");
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[0]);
    return qn__exec_blocks(exec, call, qn__elements(&call->in[0]) / 32);
}

const qn_op qn__op_quantize = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .variants = QN_VARIANTS_WIDE_PLAIN(QN_EXACT),
};
