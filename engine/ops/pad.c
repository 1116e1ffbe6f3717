#include "ops/exec.h"

#include <stdio.h>

enum { AXIS, BEFORE, AFTER };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_word(call, 0));
    QN_TRY(qn__check_axis(call));
    qn_shape shape = call->in[0].desc.shape;
    int64_t *dim = &shape.dim[call->attr[AXIS].i];
    int64_t before = call->attr[BEFORE].i, after = call->attr[AFTER].i;
    int64_t room = INT64_MAX / 4 - *dim;
    QN_CHECK(before >= 0 && after >= 0 && before <= room && after <= room - before,
             "pad: %lld before and %lld after are negative or too many", (long long)before,
             (long long)after);
    *dim += before + after;
    qn__out_shape(call, 0, call->in[0].desc.dtype, &shape);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 0, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    const qn_shape *x = &call->in[0].desc.shape, *y = &call->out[0].desc.shape;
    int axis = (int)call->attr[AXIS].i;
    int64_t inner = qn__shape_span(x, axis + 1, x->rank);
    qn__exec_begin(exec, call, "pad_fwd", "%s", "");
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[0]);
    qn__exec_u64(exec, (uint64_t)(y->dim[axis] * inner));
    qn__exec_u64(exec, (uint64_t)(call->attr[BEFORE].i * inner));
    qn__exec_u64(exec, (uint64_t)(x->dim[axis] * inner));
    return qn__exec_elementwise(exec, call, qn__elements(&call->out[0]));
}

static qn_status grad(qn_grad_builder *builder)
{
    char line[128];
    const qn_attr *attr = builder->call->attr;
    long long before = (long long)attr[BEFORE].i;
    if (builder->dout[0] < 0 || !builder->wanted[0]) return QN_OK;
    snprintf(line, sizeof line, "slice axis=%lld from=%lld to=%lld", (long long)attr[AXIS].i,
             before, before + (long long)builder->call->in[0].desc.shape.dim[attr[AXIS].i]);
    return builder->emit(builder, line, builder->dout, 1, &builder->din[0]);
}

const qn_op qn__op_pad = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .grad = grad,
    .variants = QN_VARIANTS_WIDE_PLAIN(QN_EXACT),
};
