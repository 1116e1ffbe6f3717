#include "ops/exec.h"

enum { LOGITS, TARGETS };
enum { LOSS, LSE };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_elements(call, 1u << LOGITS));
    QN_TRY(qn__check_rank(call, LOGITS, 2, 2));
    QN_TRY(qn__check_rank(call, TARGETS, 1, 1));
    QN_TRY(qn__check_dim(call, TARGETS, 0, call->in[LOGITS].desc.shape.dim[0]));
    qn__out_shape(call, LOSS, QN_F32, &call->in[TARGETS].desc.shape);
    qn__out_shape(call, LSE, QN_F32, &call->in[TARGETS].desc.shape);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 0, cost);
    cost->flops = 22.0 * (double)qn__elements(&call->in[LOGITS]);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "cross_entropy_fwd", "%s", "");
    qn__exec_tensor(exec, &call->out[LOSS]);
    qn__exec_tensor(exec, &call->out[LSE]);
    qn__exec_tensor(exec, &call->in[LOGITS]);
    qn__exec_tensor(exec, &call->in[TARGETS]);
    qn__exec_i32(exec, qn__cols(&call->in[LOGITS]));
    return qn__exec_rows(exec, call, qn__rows(&call->in[LOGITS]));
}

static qn_status bwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "cross_entropy_bwd", "%s", "");
    qn__exec_tensor(exec, &call->din[LOGITS]);
    qn__exec_tensor(exec, &call->dout[LOSS]);
    qn__exec_tensor(exec, &call->in[LOGITS]);
    qn__exec_tensor(exec, &call->in[TARGETS]);
    qn__exec_tensor(exec, &call->out[LSE]);
    qn__exec_i32(exec, qn__cols(&call->in[LOGITS]));
    return qn__exec_rows(exec, call, qn__rows(&call->in[LOGITS]));
}

const qn_op qn__op_cross_entropy = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .bwd = bwd,
    .bwd_reads_in = 1u << LOGITS | 1u << TARGETS,
    .bwd_reads_out = 1u << LSE,
    .bwd_over_in = true,
    .variants = QN_VARIANTS_WIDE_TILE_PLAIN(QN_LANES64),
};
