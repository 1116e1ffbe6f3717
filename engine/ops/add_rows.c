#include "base/checked.h"
#include "ops/exec.h"

enum { SUM, X, IDS };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_dtype(call, SUM, QN_F32));
    QN_TRY(qn__check_elements(call, 1u << X));
    QN_TRY(qn__check_rank(call, SUM, 2, 2));
    QN_TRY(qn__check_rank(call, X, 2, 2));
    QN_TRY(qn__check_dim(call, X, 1, qn__cols(&call->in[SUM])));
    QN_TRY(qn__check_rank(call, IDS, 1, 1));
    QN_TRY(qn__check_dim(call, IDS, 0, call->in[X].desc.shape.dim[0]));
    qn__out_like(call, 0, SUM);
    return QN_OK;
}

/* Of the sum only the rows that have an id. */
static void cost(const qn_call *call, qn_cost *cost)
{
    cost->flops = 2.0 * (double)qn__elements(&call->in[X]);
    cost->bytes = 8.0 * (double)qn__elements(&call->in[X]) +
                  (double)qn__desc_bytes(&call->in[X].desc) +
                  (double)qn__desc_bytes(&call->in[IDS].desc);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    int64_t rows = qn__elements(&call->in[IDS]), cols = qn__cols(&call->in[SUM]);
    bool tile = call->variant->family == QN_TILE;
    qn__exec_begin(exec, call, tile ? "add_rows_tile" : "add_rows_fwd", "-DQN_Y=%d",
                   (int)call->in[X].desc.dtype);
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[X]);
    qn__exec_tensor(exec, &call->in[IDS]);
    qn__exec_u64(exec, (uint64_t)cols);
    qn__exec_i32(exec, call->in[SUM].desc.shape.dim[0]);
    qn__exec_u64(exec, (uint64_t)rows);
    if (tile) return qn__exec_run2(exec, rows, qn__ceil_div(cols, 256), 64);
    if (call->variant->family == QN_PLAIN) return qn__exec_elementwise(exec, call, rows * cols);
    qn__exec_u64(exec, (uint64_t)(rows * cols));
    return qn__exec_run1(exec, cols > 0 ? rows : 0, 1);
}

const qn_op qn__op_add_rows = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .variants = QN_VARIANTS_WIDE_TILE_PLAIN(QN_CHAIN),
};
