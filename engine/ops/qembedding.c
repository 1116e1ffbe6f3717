#include "base/checked.h"
#include "ops/qmatmul.h"

enum { TABLE, IDS };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_rank(call, TABLE, 2, 2));
    QN_TRY(qn__check_rank(call, IDS, 1, 1));
    const qn_desc *table = &call->in[TABLE].desc;
    QN_TRY(qn__check_panels(call, TABLE));
    qn_shape y = {.rank = 2, .dim = {call->in[IDS].desc.shape.dim[0], table->shape.dim[1]}};
    qn__out_shape(call, 0, QN_F32, &y);
    return QN_OK;
}

/* Of the table only the rows looked up. */
static void cost(const qn_call *call, qn_cost *cost)
{
    double elements = (double)qn__elements(&call->out[0]);
    int bytes = 0, block = qn_dtype_block(call->in[TABLE].desc.dtype, &bytes);
    cost->flops = 2 * elements;
    cost->bytes = elements * (4 + (double)bytes / block);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    int64_t blocks = qn__cols(&call->in[TABLE]) / 32;
    int64_t n = call->in[IDS].desc.shape.dim[0] * blocks;
    qn__exec_begin(exec, call, "qembedding_fwd", "-DQN_B=%d", (int)call->in[TABLE].desc.dtype);
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[TABLE]);
    qn__exec_tensor(exec, &call->in[IDS]);
    qn__exec_i32(exec, call->in[TABLE].desc.shape.dim[0]);
    qn__exec_i32(exec, blocks);
    qn__exec_i32(exec, n);
    return qn__exec_run1(exec, qn__ceil_div(n, 64), 64);
}

const qn_op qn__op_qembedding = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .variants = (const qn_variant[]){{"plain", QN_PLAIN, QN_EXACT, qn__refuse_never, NULL}, {0}},
};
