#include "ops/exec.h"

enum { X, GAMMA, BETA };
enum { Y, MEAN, RSTD };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_elements(call, 1u << X));
    QN_TRY(qn__check_rank(call, X, 1, QN_MAX_RANK));
    for (int i = GAMMA; i <= BETA; i++) {
        if (!call->in[i].there) continue;
        QN_TRY(qn__check_rank(call, i, 1, 1));
        QN_TRY(qn__check_dim(call, i, 0, qn__cols(&call->in[X])));
    }
    qn__out_like(call, Y, X);
    qn_shape rows = call->in[X].desc.shape;
    rows.rank--;
    qn__out_shape(call, MEAN, QN_F32, &rows);
    qn__out_shape(call, RSTD, QN_F32, &rows);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, call->backward ? 14 : 8, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "layer_norm_fwd", "-DQN_BETA=%d", call->in[BETA].there);
    qn__exec_tensor(exec, &call->out[Y]);
    qn__exec_tensor(exec, &call->out[MEAN]);
    qn__exec_tensor(exec, &call->out[RSTD]);
    qn__exec_tensor(exec, &call->in[X]);
    qn__exec_tensor(exec, &call->in[GAMMA]);
    qn__exec_tensor(exec, &call->in[BETA]);
    qn__exec_f32(exec, call->attr[0].f);
    qn__exec_i32(exec, qn__cols(&call->in[X]));
    return qn__exec_rows(exec, call, qn__rows(&call->in[X]));
}

/* The parts of dgamma, then those of dbeta. */
static uint64_t scratch(const qn_call *call)
{
    if (!call->backward) return 0;
    uint64_t bytes = qn__column_parts_bytes(qn__rows(&call->in[X]), qn__cols(&call->in[X]));
    return bytes * (uint64_t)(call->din[GAMMA].there + call->din[BETA].there);
}

static qn_status columns(qn_exec *exec, const qn_call *call, int64_t rows, int64_t cols)
{
    uint64_t offset = 0;
    if (call->din[GAMMA].there) {
        qn__exec_begin(exec, call, "layer_norm_dgamma", "%s", "");
        qn__exec_scratch(exec, call, 0);
        qn__exec_tensor(exec, &call->dout[Y]);
        qn__exec_tensor(exec, &call->in[X]);
        qn__exec_tensor(exec, &call->out[MEAN]);
        qn__exec_tensor(exec, &call->out[RSTD]);
        qn__exec_i32(exec, rows);
        QN_TRY(qn__exec_column_parts(exec, call, &call->din[GAMMA], 0, rows, cols));
        offset = qn__column_parts_bytes(rows, cols);
    }
    if (!call->din[BETA].there) return QN_OK;
    qn__exec_begin(exec, call, "layer_norm_dbeta", "%s", "");
    qn__exec_scratch(exec, call, offset);
    qn__exec_tensor(exec, &call->dout[Y]);
    qn__exec_i32(exec, rows);
    return qn__exec_column_parts(exec, call, &call->din[BETA], offset, rows, cols);
}

/* dx comes last: it may lie over dy. */
static qn_status bwd(qn_exec *exec, const qn_call *call)
{
    int64_t rows = qn__rows(&call->in[X]), cols = qn__cols(&call->in[X]);
    QN_TRY(columns(exec, call, rows, cols));
    if (!call->din[X].there) return QN_OK;
    qn__exec_begin(exec, call, "layer_norm_dx", "%s", "");
    qn__exec_tensor(exec, &call->din[X]);
    qn__exec_tensor(exec, &call->dout[Y]);
    qn__exec_tensor(exec, &call->in[X]);
    qn__exec_tensor(exec, &call->in[GAMMA]);
    qn__exec_tensor(exec, &call->out[MEAN]);
    qn__exec_tensor(exec, &call->out[RSTD]);
    qn__exec_i32(exec, cols);
    return qn__exec_rows(exec, call, rows);
}

const qn_op qn__op_layer_norm = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .bwd = bwd,
    .bwd_reads_in = 1u << X | 1u << GAMMA,
    .bwd_reads_out = 1u << MEAN | 1u << RSTD,
    .fwd_in_place = 1u << X,
    .bwd_in_place = true,
    .variants = (const qn_variant[]){{"wide", QN_WIDE, QN_LANES64, qn__refuse_wide, scratch},
                                     {"tile", QN_TILE, QN_LANES64, qn__refuse_tile, scratch},
                                     {"plain", QN_PLAIN, QN_LANES64, qn__refuse_never, scratch},
                                     {0}},
};
