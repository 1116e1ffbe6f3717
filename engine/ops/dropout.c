#include "ops/exec.h"

enum { X, RNG };
enum { P, STREAM };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_elements(call, 1u << X));
    QN_TRY(qn__check_rank(call, RNG, 1, 1));
    QN_TRY(qn__check_dim(call, RNG, 0, 4));
    QN_CHECK(call->attr[P].f >= 0 && call->attr[P].f <= 1, "dropout: p=%.9g is outside [0, 1]",
             call->attr[P].f);
    qn__out_like(call, 0, X);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 2, cost); /* and about 20 integer operations */
}

static qn_status mask(qn_exec *exec, const qn_call *call, const qn_operand *to,
                      const qn_operand *from)
{
    const qn_shape *shape = &from->desc.shape;
    double p = (float)call->attr[P].f;
    qn__exec_begin(exec, call, "dropout_mask", "%s", "");
    qn__exec_tensor(exec, to);
    qn__exec_tensor(exec, from);
    qn__exec_tensor(exec, &call->in[RNG]);
    qn__exec_u64(exec, shape->rank > 0 ? (uint64_t)qn__shape_span(shape, 1, shape->rank) : 1);
    qn__exec_i32(exec, (int32_t)(uint32_t)call->attr[STREAM].i);
    qn__exec_f32(exec, p);
    qn__exec_f32(exec, p < 1 ? 1.0 / (1.0 - p) : 0.0);
    return qn__exec_elementwise(exec, call, qn__elements(from));
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    return mask(exec, call, &call->out[0], &call->in[X]);
}

static qn_status bwd(qn_exec *exec, const qn_call *call)
{
    return mask(exec, call, &call->din[X], &call->dout[0]);
}

const qn_op qn__op_dropout = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .bwd = bwd,
    .bwd_reads_in = 1u << RNG,
    .fwd_in_place = 1u << X,
    .bwd_in_place = true,
    .variants = QN_VARIANTS_WIDE_TILE_PLAIN(QN_EXACT),
};
