#include "ops/exec.h"

enum { COUNT, NORM };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_f32(call));
    QN_TRY(qn__check_rank(call, 0, 2, 2));
    const qn_shape *logits = &call->in[0].desc.shape;
    QN_CHECK(call->attr[COUNT].i >= 1 && call->attr[COUNT].i <= logits->dim[1],
             "expert_route: count %lld of %lld experts", (long long)call->attr[COUNT].i,
             (long long)logits->dim[1]);
    qn_shape chosen = {.rank = 2, .dim = {logits->dim[0], call->attr[COUNT].i}};
    qn__out_shape(call, 0, QN_F32, &chosen);
    qn__out_shape(call, 1, QN_I32, &chosen);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    double elements = (double)qn__elements(&call->in[0]);
    qn__cost_elementwise(call, 1, cost);
    cost->flops = elements * (20 + 2 * (double)call->attr[COUNT].i);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "expert_route_fwd", "-DQN_NORM=%d", call->attr[NORM].i != 0);
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->out[1]);
    qn__exec_tensor(exec, &call->in[0]);
    qn__exec_i32(exec, call->attr[COUNT].i);
    qn__exec_i32(exec, qn__cols(&call->in[0]));
    return qn__exec_rows(exec, call, qn__rows(&call->in[0]));
}

const qn_op qn__op_expert_route = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .variants = QN_VARIANTS_WIDE_PLAIN(QN_LANES64),
};
