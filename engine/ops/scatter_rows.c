#include "base/checked.h"
#include "ops/exec.h"

enum { DST, SRC, INDEX };
enum { PIECE = 32, WIDE_PIECES = 16 }; /* as in scatter_rows.clh */

/* Of one type, whatever it is; or elements that are converted. */
static qn_status check_types(const qn_call *call)
{
    if (call->in[DST].desc.dtype == call->in[SRC].desc.dtype) {
        QN_TRY(qn__check_word(call, DST));
        return qn__check_type_like(call, SRC, DST);
    }
    QN_TRY(qn__check_cached(call, DST));
    QN_TRY(qn__check_word(call, SRC));
    QN_CHECK(qn__is_float(call->in[SRC].desc.dtype), "scatter_rows: input src is %s, input dst %s",
             qn_dtype_name(call->in[SRC].desc.dtype), qn_dtype_name(call->in[DST].desc.dtype));
    return QN_OK;
}

static qn_status shape(qn_call *call)
{
    QN_TRY(check_types(call));
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
    qn_desc written = call->in[SRC].desc;
    written.dtype = call->in[DST].desc.dtype;
    cost->bytes = (double)(qn__desc_bytes(&call->in[SRC].desc) + qn__desc_bytes(&written) +
                           qn__desc_bytes(&call->in[INDEX].desc));
}

/* Pieces of 32 elements: blocks, where there are some. */
static qn_status fwd_converted(qn_exec *exec, const qn_call *call, int64_t length)
{
    int64_t pieces = qn__ceil_div(length, PIECE), n = call->in[SRC].desc.shape.dim[0] * pieces;
    qn__exec_begin(exec, call, "scatter_rows_as", "-DQN_KV=%d -DQN_Y=%d",
                   (int)call->in[DST].desc.dtype, (int)call->in[SRC].desc.dtype);
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[SRC]);
    qn__exec_tensor(exec, &call->in[INDEX]);
    qn__exec_i32(exec, length);
    qn__exec_i32(exec, pieces);
    qn__exec_i32(exec, call->in[DST].desc.shape.dim[0]);
    qn__exec_i32(exec, n);
    if (call->variant->family == QN_WIDE)
        return qn__exec_run1(exec, qn__ceil_div(n, WIDE_PIECES), 1);
    return qn__exec_run1(exec, qn__ceil_div(n, 64), 64);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    const qn_shape *dst = &call->in[DST].desc.shape;
    if (call->in[DST].desc.dtype != call->in[SRC].desc.dtype)
        return fwd_converted(exec, call, qn__shape_span(dst, 1, dst->rank));
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
