#include "ops/exec.h"

enum { P, G, M, HYPER };
enum { OUT_P, OUT_M };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_f32(call));
    QN_TRY(qn__check_like(call, G, P));
    QN_TRY(qn__check_like(call, M, P));
    QN_TRY(qn__check_rank(call, HYPER, 1, 1));
    QN_TRY(qn__check_dim(call, HYPER, 0, 4));
    qn__out_like(call, OUT_P, P);
    qn__out_like(call, OUT_M, M);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 7, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "sgd_fwd", "%s", "");
    qn__exec_tensor(exec, &call->out[OUT_P]);
    qn__exec_tensor(exec, &call->out[OUT_M]);
    qn__exec_tensor(exec, &call->in[G]);
    qn__exec_tensor(exec, &call->in[HYPER]);
    qn__exec_f32(exec, call->attr[0].f);
    return qn__exec_elementwise(exec, call, qn__elements(&call->in[P]));
}

const qn_op qn__op_sgd = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .variants = QN_VARIANTS_WIDE_TILE_PLAIN(QN_EXACT),
};
