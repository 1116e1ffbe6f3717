#include "ops/exec.h"

enum { X, INDEX };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_f32(call));
    QN_TRY(qn__check_rank(call, X, 1, QN_MAX_RANK));
    const qn_shape *x = &call->in[X].desc.shape, *index = &call->in[INDEX].desc.shape;
    QN_TRY(qn__check_rank(call, INDEX, x->rank, x->rank));
    for (int i = 0; i + 1 < x->rank; i++) QN_TRY(qn__check_dim(call, INDEX, i, x->dim[i]));
    qn__out_shape(call, 0, QN_F32, index);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    double elements = (double)qn__elements(&call->in[INDEX]);
    cost->flops = call->backward ? elements : 0;
    cost->bytes = 12.0 * elements;
    if (call->backward) cost->bytes += 4.0 * elements + (double)qn__desc_bytes(&call->din[X].desc);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "gather_fwd", "%s", "");
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[X]);
    qn__exec_tensor(exec, &call->in[INDEX]);
    qn__exec_u64(exec, (uint64_t)qn__cols(&call->in[INDEX]));
    qn__exec_i32(exec, qn__cols(&call->in[X]));
    return qn__exec_elementwise(exec, call, qn__elements(&call->in[INDEX]));
}

static qn_status bwd(qn_exec *exec, const qn_call *call)
{
    QN_TRY(qn__exec_zero(exec, &call->din[X]));
    qn__exec_begin(exec, call, "gather_bwd", "%s", "");
    qn__exec_tensor(exec, &call->din[X]);
    qn__exec_tensor(exec, &call->dout[0]);
    qn__exec_tensor(exec, &call->in[INDEX]);
    qn__exec_u64(exec, (uint64_t)qn__cols(&call->in[INDEX]));
    qn__exec_i32(exec, qn__cols(&call->din[X]));
    return qn__exec_rows(exec, call, qn__rows(&call->in[INDEX]));
}

const qn_op qn__op_gather = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .bwd = bwd,
    .bwd_reads_in = 1u << INDEX,
    .variants = QN_VARIANTS_WIDE_PLAIN(QN_CHAIN),
};
