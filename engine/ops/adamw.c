#include "ops/exec.h"

enum { P, G, M, V, HYPER, G2 };
enum { OUT_P, OUT_M, OUT_V };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_f32(call));
    for (int i = G; i <= G2; i++)
        if (i != HYPER && call->in[i].there) QN_TRY(qn__check_like(call, i, P));
    QN_TRY(qn__check_rank(call, HYPER, 1, 1));
    QN_TRY(qn__check_dim(call, HYPER, 0, 8));
    qn__out_like(call, OUT_P, P);
    qn__out_like(call, OUT_M, M);
    qn__out_like(call, OUT_V, V);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, call->in[G2].there ? 17 : 16, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "adamw_fwd", "-DQN_G2=%d", call->in[G2].there);
    qn__exec_tensor(exec, &call->out[OUT_P]);
    qn__exec_tensor(exec, &call->out[OUT_M]);
    qn__exec_tensor(exec, &call->out[OUT_V]);
    qn__exec_tensor(exec, &call->in[G]);
    qn__exec_tensor(exec, &call->in[G2]);
    qn__exec_tensor(exec, &call->in[HYPER]);
    qn__exec_f32(exec, call->attr[0].f);
    return qn__exec_elementwise(exec, call, qn__elements(&call->in[P]));
}

const qn_op qn__op_adamw = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .variants = QN_VARIANTS_EACH(QN_EXACT),
};
