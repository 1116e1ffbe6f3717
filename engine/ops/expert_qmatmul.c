/* Products with stacks of quantized matrices: the kernels of qmatmul, a group of which takes the
 * pairs of one expert. */
#include "base/checked.h"
#include "ops/expert.h"
#include "ops/qmatmul.h"

enum { X, W, ORDER, GROUPS, W2, PARTS = 3 };

static qn_status shape_part(qn_call *call, int in, int part)
{
    const qn_desc *w = &call->in[in].desc;
    QN_TRY(qn__check_rank(call, in, 3, 3));
    QN_TRY(qn__check_panels(call, in));
    QN_TRY(qn__check_type_like(call, in, W));
    QN_TRY(qn__check_dim(call, in, 0, call->in[W].desc.shape.dim[0]));
    QN_TRY(qn__check_dim(call, in, 2, qn__cols(&call->in[X])));
    qn_shape y = qn__expert_shape(call, ORDER, w->shape.dim[1]);
    qn__out_shape(call, part, QN_F32, &y);
    return QN_OK;
}

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_dtype(call, X, QN_Q8X));
    QN_TRY(qn__check_rank(call, W, 3, 3));
    QN_TRY(qn__expert_check(call, X, ORDER, GROUPS, call->in[W].desc.shape.dim[0]));
    QN_TRY(shape_part(call, W, 0));
    if (call->in[W2].there) return shape_part(call, W2, 1);
    QN_CHECK(!call->out[1].there, "expert_qmatmul: output y2 has no matrix");
    return QN_OK;
}

static int64_t columns(const qn_call *call, int part)
{
    int in = part == 0 ? W : W2;
    return part < 2 && call->in[in].there ? call->in[in].desc.shape.dim[1] : 0;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    double pairs = (double)qn__expert_pairs(&call->in[ORDER]);
    qn__cost_elementwise(call, 0, cost);
    cost->flops =
        2 * pairs * (double)(columns(call, 0) + columns(call, 1)) * (double)qn__cols(&call->in[X]);
    for (int in = W; in <= W2; in += W2 - W)
        if (call->in[in].there)
            cost->bytes +=
                qn__expert_bytes(call, in, ORDER) - (double)qn__desc_bytes(&call->in[in].desc);
}

/* Grid: columns of each matrix by `unit`, pieces of `rows` pairs. */
static qn_status launch(qn_exec *exec, const qn_call *call, const char *kernel, int rows_at_once,
                        const int64_t grid[3])
{
    const qn_operand none = {0}, *parts[PARTS] = {&call->in[W], &call->in[W2], &none};
    qn__exec_begin(exec, call, kernel, "-DQN_B=%d -DQN_BIAS=0 -DQN_FROM_C=0 -DQN_RT=%d%s%s",
                   (int)call->in[W].desc.dtype, rows_at_once, qn__exec_dot(call),
                   qn__ask_ahead(call, W));
    int64_t groups = 0;
    for (int part = 0; part < PARTS; part++) {
        qn__exec_tensor(exec, part < 2 ? &call->out[part] : &none);
        qn__exec_tensor(exec, parts[part]);
        qn__exec_tensor(exec, &none);
        qn__exec_i32(exec, columns(call, part));
        groups += qn__ceil_div(columns(call, part), grid[0]);
    }
    qn__exec_tensor(exec, &call->in[X]);
    qn__exec_tensor(exec, &none);
    qn__exec_i32(exec, qn__expert_pairs(&call->in[ORDER]));
    qn__exec_i32(exec, qn__cols(&call->in[X]) / 32);
    qn__expert_arguments(exec, call, X, ORDER, GROUPS);
    int64_t experts = call->in[W].desc.shape.dim[0];
    return qn__exec_run2(exec, groups, qn__expert_pieces(call, ORDER, experts, grid[1]), grid[2]);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    int64_t rows = call->in[ORDER].desc.shape.dim[0], pairs = qn__expert_pairs(&call->in[ORDER]);
    int few = rows > 1 ? QN_FEW_ROWS : 1; /* one row meets an expert once */
    if (call->variant->family == QN_PLAIN)
        return launch(exec, call, "qmatmul", 1, (int64_t[]){64, 1, 64});
    if (call->variant->family == QN_TILE)
        return launch(exec, call, "qmatmul_tile", few, (int64_t[]){QN_PANEL, few, QN_QTILE_ITEMS});
    if (pairs > QN_FEW_ROWS * call->in[W].desc.shape.dim[0])
        return launch(exec, call, "qmatmul_many", QN_MANY_ROWS,
                      (int64_t[]){QN_PANEL, QN_KEPT_ROWS, 1});
    return launch(exec, call, "qmatmul_few", few, (int64_t[]){QN_PANEL, few, 1});
}

const qn_op qn__op_expert_qmatmul = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .variants = QN_VARIANTS_QMATMUL,
};
