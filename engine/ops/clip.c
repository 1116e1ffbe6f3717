#include "ops/exec.h"

enum { X, NORM };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_f32(call));
    QN_TRY(qn__check_rank(call, NORM, 1, 1));
    QN_TRY(qn__check_dim(call, NORM, 0, 1));
    qn__out_like(call, 0, X);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 1, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "clip_fwd", "%s", "");
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[X]);
    qn__exec_tensor(exec, &call->in[NORM]);
    qn__exec_f32(exec, call->attr[0].f);
    return qn__exec_elementwise(exec, call, qn__elements(&call->in[X]));
}

const qn_op qn__op_clip = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .fwd_in_place = 1u << X,
    .variants = QN_VARIANTS_WIDE_TILE_PLAIN(QN_EXACT),
};
