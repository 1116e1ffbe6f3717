#include "ops/exec.h"

enum { DST, SRC, INDEX };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_word(call, DST));
    QN_TRY(qn__check_type_like(call, SRC, DST));
    QN_TRY(qn__check_rank(call, DST, 1, QN_MAX_RANK));
    const qn_shape *dst = &call->in[DST].desc.shape;
    QN_TRY(qn__check_rank(call, SRC, dst->rank, dst->rank));
    for (int i = 1; i < dst->rank; i++) QN_TRY(qn__check_dim(call, SRC, i, dst->dim[i]));
    QN_TRY(qn__check_rank(call, INDEX, 1, 1));
    QN_TRY(qn__check_dim(call, INDEX, 0, call->in[SRC].desc.shape.dim[0]));
    qn__out_like(call, 0, DST);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    cost->flops = 0;
    cost->bytes = 2.0 * (double)qn__desc_bytes(&call->in[SRC].desc) +
                  (double)qn__desc_bytes(&call->in[INDEX].desc);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    const qn_shape *dst = &call->in[DST].desc.shape;
    qn__exec_begin(exec, call, "scatter_rows_fwd", "%s", "");
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[SRC]);
    qn__exec_tensor(exec, &call->in[INDEX]);
    qn__exec_u64(exec, (uint64_t)qn__shape_span(dst, 1, dst->rank));
    qn__exec_i32(exec, dst->dim[0]);
    return qn__exec_elementwise(exec, call, qn__elements(&call->in[SRC]));
}

const qn_op qn__op_scatter_rows = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .variants = QN_VARIANTS_WIDE_PLAIN(QN_EXACT),
};
