#include "ops/exec.h"

#include <stdio.h>

enum { BLOCK = 64 }; /* as QN_BLOCK in permute.clh */

static qn_status shape(qn_call *call)
{
    const qn_shape *x = &call->in[0].desc.shape;
    qn_shape y = *x;
    unsigned seen = 0;
    QN_TRY(qn__check_word(call, 0));
    for (int i = 0; i < x->rank; i++) {
        int64_t p = call->attr[i].i;
        QN_CHECK(p >= 0 && p < x->rank && !(seen >> p & 1u),
                 "permute: p%d=%lld is outside [0, %d) or repeated", i, (long long)p, x->rank);
        seen |= 1u << p;
        y.dim[i] = x->dim[p];
    }
    qn__out_shape(call, 0, call->in[0].desc.dtype, &y);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 0, cost);
}

/* y's dimensions with the stride of each in x; dimensions of 1 dropped, neighbours that stay
 * neighbours joined. Always four, led by ones. */
typedef struct view {
    int64_t dim[QN_MAX_RANK], stride[QN_MAX_RANK];
} view;

static view view_of(const qn_call *call)
{
    const qn_shape *x = &call->in[0].desc.shape;
    view v;
    int at = QN_MAX_RANK;
    for (int i = x->rank - 1; i >= 0; i--) {
        int p = (int)call->attr[i].i;
        int64_t dim = x->dim[p], stride = qn__shape_span(x, p + 1, x->rank);
        if (dim == 1) continue;
        if (at < QN_MAX_RANK && stride == v.dim[at] * v.stride[at]) {
            v.dim[at] *= dim;
            continue;
        }
        at--;
        v.dim[at] = dim;
        v.stride[at] = stride;
    }
    while (at > 0) {
        at--;
        v.dim[at] = v.stride[at] = 1;
    }
    return v;
}

static qn_status run_tiles(qn_exec *exec, const qn_call *call, const view *v)
{
    int64_t y_stride[QN_MAX_RANK] = {v->dim[1] * v->dim[2] * v->dim[3], v->dim[2] * v->dim[3],
                                     v->dim[3], 1};
    int axis = 0, a, b;
    for (int i = 0; i < 3; i++)
        if (v->stride[i] == 1 && v->dim[i] > 1) axis = i;
    a = axis == 0 ? 1 : 0;
    b = axis == 2 ? 1 : 2;
    qn__exec_begin(exec, call, "permute_tiles", "%s", "");
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[0]);
    qn__exec_u64(exec, (uint64_t)v->dim[axis]);
    qn__exec_u64(exec, (uint64_t)v->dim[3]);
    qn__exec_u64(exec, (uint64_t)y_stride[axis]);
    qn__exec_u64(exec, (uint64_t)v->stride[3]);
    qn__exec_u64(exec, (uint64_t)v->dim[b]);
    qn__exec_u64(exec, (uint64_t)v->stride[a]);
    qn__exec_u64(exec, (uint64_t)v->stride[b]);
    qn__exec_u64(exec, (uint64_t)y_stride[a]);
    qn__exec_u64(exec, (uint64_t)y_stride[b]);
    size_t groups[3] = {(size_t)((v->dim[3] + BLOCK - 1) / BLOCK),
                        (size_t)((v->dim[axis] + BLOCK - 1) / BLOCK),
                        (size_t)(v->dim[a] * v->dim[b])};
    return qn__exec_run(exec, 3, groups, (size_t[]){1, 1, 1});
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    int64_t n = qn__elements(&call->in[0]);
    view v = view_of(call);
    if (n > 0 && call->variant->family == QN_WIDE && v.stride[3] != 1)
        return run_tiles(exec, call, &v);
    qn__exec_begin(exec, call, "permute_runs", "%s", "");
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[0]);
    for (int i = 1; i < QN_MAX_RANK; i++) qn__exec_u64(exec, (uint64_t)v.dim[i]);
    for (int i = 0; i < QN_MAX_RANK; i++) qn__exec_u64(exec, (uint64_t)v.stride[i]);
    return qn__exec_elementwise(exec, call, n);
}

static qn_status grad(qn_grad_builder *builder)
{
    char line[128];
    long long back[QN_MAX_RANK] = {0, 1, 2, 3};
    if (builder->dout[0] < 0 || !builder->wanted[0]) return QN_OK;
    for (int i = 0; i < builder->call->in[0].desc.shape.rank; i++)
        back[builder->call->attr[i].i] = i;
    snprintf(line, sizeof line, "permute p0=%lld p1=%lld p2=%lld p3=%lld", back[0], back[1],
             back[2], back[3]);
    return builder->emit(builder, line, builder->dout, 1, &builder->din[0]);
}

const qn_op qn__op_permute = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .grad = grad,
    .variants = QN_VARIANTS_WIDE_PLAIN(QN_EXACT),
};
