#include "ops/exec.h"

enum { X, TARGET };
enum { CHUNK = 4096 }; /* as in chunks.clh */

static int64_t chunks_of(const qn_call *call)
{
    return (qn__elements(&call->in[X]) + CHUNK - 1) / CHUNK;
}

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_f32(call));
    QN_TRY(qn__check_like(call, TARGET, X));
    qn_shape loss = {.rank = 1, .dim = {1}};
    qn__out_shape(call, 0, QN_F32, &loss);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 0, cost);
    cost->flops = 3.0 * (double)qn__elements(&call->in[X]);
}

static uint64_t scratch(const qn_call *call)
{
    return call->backward ? 0 : (uint64_t)chunks_of(call) * 4;
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    int64_t n = qn__elements(&call->in[X]);
    qn__exec_begin(exec, call, "mse_parts", "%s", "");
    qn__exec_scratch(exec, call, 0);
    qn__exec_tensor(exec, &call->in[X]);
    qn__exec_tensor(exec, &call->in[TARGET]);
    qn__exec_u64(exec, (uint64_t)n);
    QN_TRY(qn__exec_rows(exec, call, chunks_of(call)));
    qn__exec_begin(exec, call, "mse_fwd", "%s", "");
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_scratch(exec, call, 0);
    qn__exec_f32(exec, 1.0 / (double)n);
    qn__exec_i32(exec, chunks_of(call));
    return qn__exec_run1(exec, 1, 1);
}

static qn_status bwd(qn_exec *exec, const qn_call *call)
{
    int64_t n = qn__elements(&call->in[X]);
    qn__exec_begin(exec, call, "mse_bwd", "-DQN_DX=%d -DQN_DTARGET=%d", call->din[X].there,
                   call->din[TARGET].there);
    qn__exec_tensor(exec, &call->din[X]);
    qn__exec_tensor(exec, &call->din[TARGET]);
    qn__exec_tensor(exec, &call->dout[0]);
    qn__exec_tensor(exec, &call->in[X]);
    qn__exec_tensor(exec, &call->in[TARGET]);
    qn__exec_f32(exec, 2.0 / (double)n);
    return qn__exec_elementwise(exec, call, n);
}

const qn_op qn__op_mse = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .bwd = bwd,
    .bwd_reads_in = 1u << X | 1u << TARGET,
    .variants = (const qn_variant[]){{"wide", QN_WIDE, QN_LANES64, qn__refuse_wide, scratch},
                                     {"tile", QN_TILE, QN_LANES64, qn__refuse_tile, scratch},
                                     {"plain", QN_PLAIN, QN_LANES64, qn__refuse_never, scratch},
                                     {0}},
};
