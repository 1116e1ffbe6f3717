#include "ops/exec.h"

enum { X, POS, TABLE };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_elements(call, 1u << X));
    QN_TRY(qn__check_rank(call, X, 3, 3));
    QN_TRY(qn__check_rank(call, POS, 1, 1));
    QN_TRY(qn__check_rank(call, TABLE, 3, 3));
    const qn_shape *x = &call->in[X].desc.shape, *table = &call->in[TABLE].desc.shape;
    QN_TRY(qn__check_dim(call, POS, 0, x->dim[0]));
    QN_TRY(qn__check_dim(call, TABLE, 2, 2));
    QN_CHECK(table->dim[1] <= x->dim[2] / 2,
             "rope: the table has %lld pairs; heads of %lld have room for %lld",
             (long long)table->dim[1], (long long)x->dim[2], (long long)(x->dim[2] / 2));
    QN_CHECK(table->dim[0] > 0, "rope: the table has no positions");
    qn__out_like(call, 0, X);
    return QN_OK;
}

/* Of the table a row for each position. */
static void cost(const qn_call *call, qn_cost *cost)
{
    const qn_shape *x = &call->in[X].desc.shape;
    double pairs = (double)call->in[TABLE].desc.shape.dim[1], rows = (double)x->dim[0];
    cost->flops = 6.0 * rows * (double)x->dim[1] * pairs;
    cost->bytes = 2.0 * (double)qn__desc_bytes(&call->in[X].desc) + rows * (4.0 + 8.0 * pairs);
}

static qn_status turn(qn_exec *exec, const qn_call *call, const qn_operand *to,
                      const qn_operand *from)
{
    const qn_shape *x = &from->desc.shape, *table = &call->in[TABLE].desc.shape;
    int64_t units = x->dim[2] - table->dim[1]; /* of a head: pairs and single elements */
    qn__exec_begin(exec, call, "rope_turn", "-DQN_HALVES=%d -DQN_BACK=%d", call->attr[0].i != 0,
                   call->backward);
    qn__exec_tensor(exec, to);
    qn__exec_tensor(exec, from);
    qn__exec_tensor(exec, &call->in[POS]);
    qn__exec_tensor(exec, &call->in[TABLE]);
    qn__exec_i32(exec, table->dim[0]);
    qn__exec_i32(exec, x->dim[1]);
    qn__exec_i32(exec, x->dim[2]);
    qn__exec_i32(exec, table->dim[1]);
    if (call->variant->family == QN_PLAIN)
        return qn__exec_elementwise(exec, call, x->dim[0] * x->dim[1] * units);
    qn__exec_u64(exec, (uint64_t)x->dim[0]);
    return qn__exec_run1(exec, x->dim[0], 1);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    return turn(exec, call, &call->out[0], &call->in[X]);
}

static qn_status bwd(qn_exec *exec, const qn_call *call)
{
    return turn(exec, call, &call->din[X], &call->dout[0]);
}

const qn_op qn__op_rope = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .bwd = bwd,
    .bwd_reads_in = 1u << POS | 1u << TABLE,
    .fwd_in_place = 1u << X,
    .bwd_in_place = true,
    .variants = QN_VARIANTS_WIDE_PLAIN(QN_EXACT),
};
