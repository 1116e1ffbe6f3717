#include "ops/exec.h"

enum { X, WEIGHTS, SHARED, GATE };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_f32(call));
    QN_TRY(qn__check_rank(call, X, 3, 3));
    QN_TRY(qn__check_rank(call, WEIGHTS, 2, 2));
    const int64_t *x = call->in[X].desc.shape.dim;
    QN_TRY(qn__check_dim(call, WEIGHTS, 0, x[0]));
    QN_TRY(qn__check_dim(call, WEIGHTS, 1, x[1]));
    qn_shape y = {.rank = 2, .dim = {x[0], x[2]}}, gate = {.rank = 2, .dim = {x[0], 1}};
    QN_CHECK(call->in[SHARED].there == call->in[GATE].there,
             "expert_sum: shared and gate come together");
    QN_CHECK(!call->in[SHARED].there || (qn_shape_equal(&call->in[SHARED].desc.shape, &y) &&
                                         qn_shape_equal(&call->in[GATE].desc.shape, &gate)),
             "expert_sum: shared is [%lld, %lld], and gate [%lld, 1]", (long long)x[0],
             (long long)x[2], (long long)x[0]);
    qn__out_shape(call, 0, QN_F32, &y);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 2.0 * (double)call->in[X].desc.shape.dim[1] + 2, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "expert_sum_fwd", "-DQN_GATED=%d", call->in[SHARED].there);
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[X]);
    qn__exec_tensor(exec, &call->in[WEIGHTS]);
    qn__exec_tensor(exec, &call->in[SHARED]);
    qn__exec_tensor(exec, &call->in[GATE]);
    qn__exec_i32(exec, call->in[X].desc.shape.dim[1]);
    qn__exec_u64(exec, (uint64_t)qn__cols(&call->in[X]));
    return qn__exec_elementwise(exec, call, qn__elements(&call->out[0]));
}

const qn_op qn__op_expert_sum = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .variants = QN_VARIANTS_WIDE_PLAIN(QN_CHAIN),
};
