#include "base/checked.h"
#include "ops/expert.h"

enum { X, W, ORDER, GROUPS };
enum { FEW = 4 };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_f32(call));
    QN_TRY(qn__check_rank(call, W, 3, 3));
    const int64_t *w = call->in[W].desc.shape.dim;
    QN_TRY(qn__expert_check(call, X, ORDER, GROUPS, w[0]));
    QN_TRY(qn__check_dim(call, W, 2, qn__cols(&call->in[X])));
    qn_shape y = qn__expert_shape(call, ORDER, w[1]);
    qn__out_shape(call, 0, QN_F32, &y);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 2.0 * (double)qn__cols(&call->in[X]), cost);
    cost->bytes += qn__expert_bytes(call, W, ORDER) - (double)qn__desc_bytes(&call->in[W].desc);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    const int64_t *w = call->in[W].desc.shape.dim;
    bool wide = call->variant->family == QN_WIDE;
    int unit = wide && call->in[ORDER].desc.shape.dim[0] > 1 ? FEW : 1;
    qn__exec_begin(exec, call, "expert_matmul", "-DQN_RT=%d", unit);
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[X]);
    qn__exec_tensor(exec, &call->in[W]);
    qn__exec_i32(exec, qn__expert_pairs(&call->in[ORDER]));
    qn__exec_i32(exec, w[1]);
    qn__exec_i32(exec, w[2]);
    qn__expert_arguments(exec, call, X, ORDER, GROUPS);
    return qn__exec_run2(exec, qn__ceil_div(w[1], wide ? 16 : 64),
                         qn__expert_pieces(call, ORDER, w[0], unit), wide ? 1 : 64);
}

const qn_op qn__op_expert_matmul = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .variants = QN_VARIANTS_WIDE_PLAIN(QN_CHAIN),
};
