#include "ops/exec.h"

enum { CHUNK = 4096 }; /* as in chunks.clh */

static int64_t chunks_of(const qn_call *call)
{
    return (qn__elements(&call->in[0]) + CHUNK - 1) / CHUNK;
}

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_f32(call));
    qn_shape y = {.rank = 1, .dim = {chunks_of(call)}};
    qn__out_shape(call, 0, QN_F32, &y);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 0, cost);
    cost->flops = 2.0 * (double)qn__elements(&call->in[0]);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "sum_squares_fwd", "%s", "");
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[0]);
    qn__exec_u64(exec, (uint64_t)qn__elements(&call->in[0]));
    return qn__exec_rows(exec, call, chunks_of(call));
}

const qn_op qn__op_sum_squares = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .variants = QN_VARIANTS_WIDE_TILE_PLAIN(QN_LANES64),
};
