#include "base/checked.h"
#include "ops/exec.h"

enum { WIDE_BLOCKS = 16 }; /* of an item, as QN_BLOCK_ITEM */

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_elements(call, 1));
    QN_TRY(qn__check_rank(call, 0, 1, QN_MAX_RANK));
    int64_t cols = qn__cols(&call->in[0]);
    QN_CHECK(cols % 32 == 0, "quantize: rows of %lld elements; they must be whole blocks of 32",
             (long long)cols);
    qn__out_shape(call, 0, QN_Q8X, &call->in[0].desc.shape);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 4, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "quantize_fwd", "%s", "");
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[0]);
    int64_t blocks = qn__elements(&call->in[0]) / 32;
    qn__exec_i32(exec, blocks);
    if (call->variant->family == QN_WIDE)
        return qn__exec_run1(exec, qn__ceil_div(blocks, WIDE_BLOCKS), 1);
    return qn__exec_run1(exec, qn__ceil_div(blocks, 64), 64);
}

const qn_op qn__op_quantize = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .variants = QN_VARIANTS_WIDE_PLAIN(QN_EXACT),
};
