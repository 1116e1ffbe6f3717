#include "ops/exec.h"

#include <stdio.h>

enum { PARTS = 4 };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_word(call, 0));
    QN_TRY(qn__check_axis(call));
    int axis = (int)call->attr[0].i;
    qn_shape shape = call->in[0].desc.shape;
    for (int p = 1; p < PARTS; p++) {
        if (!call->in[p].there) continue;
        const qn_shape *part = &call->in[p].desc.shape;
        QN_TRY(qn__check_type_like(call, p, 0));
        QN_TRY(qn__check_rank(call, p, shape.rank, shape.rank));
        for (int i = 0; i < shape.rank; i++)
            if (i != axis) QN_TRY(qn__check_dim(call, p, i, shape.dim[i]));
        QN_CHECK(part->dim[axis] <= INT64_MAX / 4 - shape.dim[axis],
                 "concat: dimension %d is too long", axis);
        shape.dim[axis] += part->dim[axis];
    }
    qn__out_shape(call, 0, call->in[0].desc.dtype, &shape);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 0, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    const qn_shape *y = &call->out[0].desc.shape;
    int axis = (int)call->attr[0].i;
    int64_t inner = qn__shape_span(y, axis + 1, y->rank), start = 0;
    for (int p = 0; p < PARTS; p++) {
        if (!call->in[p].there) continue;
        int64_t length = call->in[p].desc.shape.dim[axis] * inner;
        qn__exec_begin(exec, call, "concat_part", "%s", "");
        qn__exec_tensor(exec, &call->out[0]);
        qn__exec_tensor(exec, &call->in[p]);
        qn__exec_u64(exec, (uint64_t)length);
        qn__exec_u64(exec, (uint64_t)(y->dim[axis] * inner));
        qn__exec_u64(exec, (uint64_t)start);
        QN_TRY(qn__exec_elementwise(exec, call, qn__elements(&call->in[p])));
        start += length;
    }
    return QN_OK;
}

static qn_status grad(qn_grad_builder *builder)
{
    const qn_call *call = builder->call;
    long long axis = (long long)call->attr[0].i, from = 0;
    if (builder->dout[0] < 0) return QN_OK;
    for (int p = 0; p < PARTS; p++) {
        char line[128];
        if (!call->in[p].there) continue;
        long long to = from + (long long)call->in[p].desc.shape.dim[axis];
        snprintf(line, sizeof line, "slice axis=%lld from=%lld to=%lld", axis, from, to);
        if (builder->wanted[p])
            QN_TRY(builder->emit(builder, line, builder->dout, 1, &builder->din[p]));
        from = to;
    }
    return QN_OK;
}

const qn_op qn__op_concat = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .grad = grad,
    .variants = QN_VARIANTS_WIDE_PLAIN(QN_EXACT),
};
