#include "ops/expert.h"

#include "base/checked.h"

int64_t qn__expert_pairs(const qn_operand *order)
{
    return qn__elements(order);
}

int64_t qn__expert_share(const qn_call *call, int in, int order)
{
    return call->in[in].desc.shape.rank == 2 ? call->in[order].desc.shape.dim[1] : 1;
}

qn_status qn__expert_check(const qn_call *call, int x, int order, int groups, int64_t experts)
{
    const qn_shape *pairs = &call->in[order].desc.shape, *rows = &call->in[x].desc.shape;
    QN_TRY(qn__check_rank(call, order, 2, 2));
    QN_TRY(qn__check_rank(call, groups, 2, 2));
    QN_TRY(qn__check_rank(call, x, 2, 3));
    QN_CHECK(pairs->dim[1] >= 1, "%s: no choice in a row", qn__op_row(qn__op_id(call->op))->stem);
    QN_TRY(qn__check_dim(call, groups, 0, experts + 1));
    QN_TRY(qn__check_dim(call, groups, 1, 2));
    QN_TRY(qn__check_dim(call, x, 0, pairs->dim[0]));
    return rows->rank == 3 ? qn__check_dim(call, x, 1, pairs->dim[1]) : QN_OK;
}

qn_shape qn__expert_shape(const qn_call *call, int order, int64_t cols)
{
    const qn_shape *pairs = &call->in[order].desc.shape;
    return (qn_shape){.rank = 3, .dim = {pairs->dim[0], pairs->dim[1], cols}};
}

int64_t qn__expert_pieces(const qn_call *call, int order, int64_t experts, int64_t unit)
{
    int64_t pairs = qn__expert_pairs(&call->in[order]), most = experts < pairs ? experts : pairs;
    int64_t pieces = (pairs + most * (unit - 1)) / unit; /* each expert's last may be short */
    return pieces < pairs ? pieces : pairs;
}

void qn__expert_arguments(qn_exec *exec, const qn_call *call, int x, int order, int groups)
{
    qn__exec_tensor(exec, &call->in[order]);
    qn__exec_tensor(exec, &call->in[groups]);
    qn__exec_i32(exec, qn__expert_share(call, x, order));
}

double qn__expert_bytes(const qn_call *call, int stack, int order)
{
    const qn_desc *w = &call->in[stack].desc;
    double experts = (double)w->shape.dim[0], pairs = (double)qn__expert_pairs(&call->in[order]);
    double bytes = (double)qn__desc_bytes(w);
    return pairs < experts ? bytes * pairs / experts : bytes;
}
