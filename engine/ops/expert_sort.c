#include "ops/exec.h"

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_dtype(call, 0, QN_I32));
    QN_TRY(qn__check_rank(call, 0, 2, 2));
    QN_CHECK(call->attr[0].i >= 1 && call->attr[0].i < 1 << 24,
             "expert_sort: %lld experts are outside [1, 2^24)", (long long)call->attr[0].i);
    qn_shape groups = {.rank = 2, .dim = {call->attr[0].i + 1, 2}};
    qn__out_shape(call, 0, QN_I32, &call->in[0].desc.shape);
    qn__out_shape(call, 1, QN_I32, &groups);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 4, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "expert_sort_fwd", "%s", "");
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->out[1]);
    qn__exec_tensor(exec, &call->in[0]);
    qn__exec_i32(exec, qn__elements(&call->in[0]));
    qn__exec_i32(exec, call->attr[0].i);
    return qn__exec_run1(exec, 1, 1);
}

const qn_op qn__op_expert_sort = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .variants = (const qn_variant[]){{"plain", QN_PLAIN, QN_EXACT, qn__refuse_never, NULL}, {0}},
};
