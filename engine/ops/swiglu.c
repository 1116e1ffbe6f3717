#include "ops/exec.h"

enum { GATE, UP };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_elements(call, 1u << GATE | 1u << UP));
    QN_TRY(qn__check_like(call, UP, GATE));
    qn__out_like(call, 0, GATE);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, call->backward ? 32 : 25, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "swiglu_fwd", "%s", "");
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[GATE]);
    qn__exec_tensor(exec, &call->in[UP]);
    return qn__exec_elementwise(exec, call, qn__elements(&call->in[GATE]));
}

static qn_status bwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "swiglu_bwd", "-DQN_DGATE=%d -DQN_DUP=%d", call->din[GATE].there,
                   call->din[UP].there);
    qn__exec_tensor(exec, &call->din[GATE]);
    qn__exec_tensor(exec, &call->din[UP]);
    qn__exec_tensor(exec, &call->dout[0]);
    qn__exec_tensor(exec, &call->in[GATE]);
    qn__exec_tensor(exec, &call->in[UP]);
    return qn__exec_elementwise(exec, call, qn__elements(&call->in[GATE]));
}

const qn_op qn__op_swiglu = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .bwd = bwd,
    .bwd_reads_in = 1u << GATE | 1u << UP,
    .fwd_in_place = 1u << GATE | 1u << UP,
    .bwd_in_place = true,
    .variants = QN_VARIANTS_EACH(QN_EXACT),
};
