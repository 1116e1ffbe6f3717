#include "ops/exec.h"

enum { X, GAMMA };
enum { Y, RSTD };
enum { EPS, OUT };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_elements(call, 1u << X));
    QN_TRY(qn__check_rank(call, X, 1, QN_MAX_RANK));
    QN_TRY(qn__check_rank(call, GAMMA, 1, 1));
    QN_TRY(qn__check_dim(call, GAMMA, 0, qn__cols(&call->in[X])));
    if (call->attr[OUT].i) QN_TRY(qn__out_q8x(call, Y, X));
    else qn__out_like(call, Y, X);
    qn_shape rows = call->in[X].desc.shape;
    rows.rank--;
    qn__out_shape(call, RSTD, QN_F32, &rows);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, call->backward ? 10 : 4, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, call->attr[OUT].i ? "rms_norm_q8x" : "rms_norm_fwd", "%s", "");
    qn__exec_tensor(exec, &call->out[Y]);
    qn__exec_tensor(exec, &call->out[RSTD]);
    qn__exec_tensor(exec, &call->in[X]);
    qn__exec_tensor(exec, &call->in[GAMMA]);
    qn__exec_f32(exec, call->attr[EPS].f);
    qn__exec_i32(exec, qn__cols(&call->in[X]));
    return qn__exec_rows(exec, call, qn__rows(&call->in[X]));
}

static uint64_t scratch(const qn_call *call)
{
    if (!call->backward || !call->din[GAMMA].there) return 0;
    return qn__column_parts_bytes(qn__rows(&call->in[X]), qn__cols(&call->in[X]));
}

static qn_status bwd(qn_exec *exec, const qn_call *call)
{
    int64_t rows = qn__rows(&call->in[X]), cols = qn__cols(&call->in[X]);
    if (call->din[X].there) {
        qn__exec_begin(exec, call, "rms_norm_dx", "%s", "");
        qn__exec_tensor(exec, &call->din[X]);
        qn__exec_tensor(exec, &call->dout[Y]);
        qn__exec_tensor(exec, &call->in[X]);
        qn__exec_tensor(exec, &call->in[GAMMA]);
        qn__exec_tensor(exec, &call->out[RSTD]);
        qn__exec_i32(exec, cols);
        QN_TRY(qn__exec_rows(exec, call, rows));
    }
    if (!call->din[GAMMA].there) return QN_OK;
    qn__exec_begin(exec, call, "rms_norm_dgamma", "%s", "");
    qn__exec_scratch(exec, call, 0);
    qn__exec_tensor(exec, &call->dout[Y]);
    qn__exec_tensor(exec, &call->in[X]);
    qn__exec_tensor(exec, &call->out[RSTD]);
    qn__exec_i32(exec, rows);
    return qn__exec_column_parts(exec, call, &call->din[GAMMA], 0, rows, cols);
}

const qn_op qn__op_rms_norm = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .bwd = bwd,
    .bwd_reads_in = 1u << X | 1u << GAMMA,
    .bwd_reads_out = 1u << RSTD,
    .fwd_in_place = 1u << X,
    .variants = (const qn_variant[]){{"wide", QN_WIDE, QN_LANES64, qn__refuse_wide, scratch},
                                     {"tile", QN_TILE, QN_LANES64, qn__refuse_tile, scratch},
                                     {"plain", QN_PLAIN, QN_LANES64, qn__refuse_never, scratch},
                                     {0}},
};
