#include "ops/exec.h"

#include <stdio.h>

enum { AXIS, FROM, TO };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_word(call, 0));
    QN_TRY(qn__check_axis(call));
    qn_shape shape = call->in[0].desc.shape;
    int64_t *dim = &shape.dim[call->attr[AXIS].i];
    int64_t from = call->attr[FROM].i, to = call->attr[TO].i;
    QN_CHECK(from >= 0 && from <= to && to <= *dim,
             "slice: [%lld, %lld) is outside dimension %lld, which is %lld", (long long)from,
             (long long)to, (long long)call->attr[AXIS].i, (long long)*dim);
    *dim = to - from;
    qn__out_shape(call, 0, call->in[0].desc.dtype, &shape);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    cost->flops = 0;
    cost->bytes = 2.0 * (double)qn__desc_bytes(&call->out[0].desc);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    const qn_shape *x = &call->in[0].desc.shape;
    int axis = (int)call->attr[AXIS].i;
    int64_t from = call->attr[FROM].i, inner = qn__shape_span(x, axis + 1, x->rank);
    qn__exec_begin(exec, call, "slice_fwd", "%s", "");
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[0]);
    qn__exec_u64(exec, (uint64_t)((call->attr[TO].i - from) * inner));
    qn__exec_u64(exec, (uint64_t)(x->dim[axis] * inner));
    qn__exec_u64(exec, (uint64_t)(from * inner));
    return qn__exec_elementwise(exec, call, qn__elements(&call->out[0]));
}

static qn_status grad(qn_grad_builder *builder)
{
    char line[128];
    const qn_attr *attr = builder->call->attr;
    if (builder->dout[0] < 0 || !builder->wanted[0]) return QN_OK;
    snprintf(line, sizeof line, "pad axis=%lld before=%lld after=%lld", (long long)attr[AXIS].i,
             (long long)attr[FROM].i,
             (long long)(builder->call->in[0].desc.shape.dim[attr[AXIS].i] - attr[TO].i));
    return builder->emit(builder, line, builder->dout, 1, &builder->din[0]);
}

const qn_op qn__op_slice = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .grad = grad,
    .variants = QN_VARIANTS_WIDE_PLAIN(QN_EXACT),
};
