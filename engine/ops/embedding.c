#include "base/checked.h"
#include "ops/exec.h"

enum { TABLE, IDS };
enum { OUT };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_elements(call, 1u << TABLE));
    QN_TRY(qn__check_rank(call, TABLE, 2, 2));
    QN_TRY(qn__check_rank(call, IDS, 1, 1));
    qn_shape y = {.rank = 2, .dim = {call->in[IDS].desc.shape.dim[0], qn__cols(&call->in[TABLE])}};
    qn__out_shape(call, 0, qn__out_type(call, OUT, TABLE), &y);
    return QN_OK;
}

/* Of the table only the rows looked up; its gradient is written whole. */
static void cost(const qn_call *call, qn_cost *cost)
{
    const qn_operand *y = call->backward ? &call->dout[0] : &call->out[0];
    cost->flops = call->backward ? (double)qn__elements(y) : 0;
    cost->bytes =
        2.0 * (double)qn__desc_bytes(&y->desc) + (double)qn__desc_bytes(&call->in[IDS].desc);
    if (call->backward) cost->bytes += (double)qn__desc_bytes(&call->din[TABLE].desc);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "embedding_fwd", "-DQN_Y=%d", (int)call->out[0].desc.dtype);
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[TABLE]);
    qn__exec_tensor(exec, &call->in[IDS]);
    qn__exec_u64(exec, (uint64_t)qn__cols(&call->in[TABLE]));
    qn__exec_i32(exec, call->in[TABLE].desc.shape.dim[0]);
    return qn__exec_elementwise(exec, call, qn__elements(&call->out[0]));
}

static qn_status bwd(qn_exec *exec, const qn_call *call)
{
    int64_t rows = qn__elements(&call->in[IDS]), cols = qn__cols(&call->din[TABLE]);
    bool tile = call->variant->family == QN_TILE;
    QN_TRY(qn__exec_zero(exec, &call->din[TABLE]));
    qn__exec_begin(exec, call, tile ? "embedding_bwd_tile" : "embedding_bwd", "-DQN_Y=%d",
                   (int)call->out[0].desc.dtype);
    qn__exec_tensor(exec, &call->din[TABLE]);
    qn__exec_tensor(exec, &call->dout[0]);
    qn__exec_tensor(exec, &call->in[IDS]);
    qn__exec_u64(exec, (uint64_t)cols);
    qn__exec_i32(exec, call->din[TABLE].desc.shape.dim[0]);
    if (call->variant->family == QN_PLAIN) {
        qn__exec_u64(exec, (uint64_t)rows);
        return qn__exec_elementwise(exec, call, rows * cols);
    }
    qn__exec_u64(exec, (uint64_t)rows);
    if (tile) return qn__exec_run2(exec, rows, qn__ceil_div(cols, 256), 64);
    qn__exec_u64(exec, (uint64_t)(rows * cols));
    return qn__exec_run1(exec, cols > 0 ? rows : 0, 1);
}

const qn_op qn__op_embedding = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .bwd = bwd,
    .bwd_reads_in = 1u << IDS,
    .grad_f32 = 1u << TABLE,
    .variants = QN_VARIANTS_WIDE_TILE_PLAIN(QN_CHAIN),
};
