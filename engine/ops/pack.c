#include "ops/exec.h"

enum { WIDE_COLUMNS = 128 }; /* of a wide item, as QN_RUN_BLOCK in pack.clh */

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_f32(call));
    QN_TRY(qn__check_rank(call, 0, 2, QN_MAX_RANK));
    qn_shape y = call->in[0].desc.shape;
    if (call->attr[0].i != 0) {
        int64_t last = y.dim[y.rank - 1];
        y.dim[y.rank - 1] = y.dim[y.rank - 2];
        y.dim[y.rank - 2] = last;
    }
    qn__out_shape(call, 0, QN_F32, &y);
    call->out[0].desc.layout = QN_PANELS;
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 0, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    const qn_shape *y = &call->out[0].desc.shape;
    int64_t rows = y->dim[y->rank - 2], cols = y->dim[y->rank - 1];
    int64_t columns = qn__shape_span(y, 0, y->rank - 2) * ((rows + QN_PANEL - 1) / QN_PANEL) * cols;
    qn__exec_begin(exec, call, "pack_fwd", "-DQN_TRANS=%d", call->attr[0].i != 0);
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[0]);
    qn__exec_i32(exec, rows);
    qn__exec_i32(exec, cols);
    if (call->variant->family == QN_PLAIN) return qn__exec_elementwise(exec, call, columns);
    qn__exec_u64(exec, (uint64_t)columns);
    return qn__exec_run1(exec, (columns + WIDE_COLUMNS - 1) / WIDE_COLUMNS, 1);
}

const qn_op qn__op_pack = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .variants = QN_VARIANTS_WIDE_PLAIN(QN_EXACT),
};
