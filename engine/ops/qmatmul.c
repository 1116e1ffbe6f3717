/* Products with quantized matrices. A CPU unpacks a panel for a few rows in registers, for many
 * once in local memory; both add in one order. */
#include "numeric/panels.h"
#include "base/checked.h"
#include "ops/exec.h"

#define AHEAD " -DQN_AHEAD=9216"
enum { X, W, BIAS, C };
enum { FEW = 4, MANY_ROWS = 8, KEPT_ROWS = 128 }; /* KEPT_ROWS as QN_KEPT */

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_dtype(call, X, QN_Q8X));
    QN_TRY(qn__check_rank(call, X, 2, 2));
    QN_TRY(qn__check_rank(call, W, 2, 2));
    const qn_desc *w = &call->in[W].desc;
    QN_CHECK(qn__has_panels(w->dtype) && w->layout == QN_PANELS,
             "qmatmul: input w is %s%s; it must be a quantized format in panels",
             qn_dtype_name(w->dtype), w->layout == QN_PANELS ? ".panels" : "");
    QN_TRY(qn__check_dim(call, W, 1, qn__cols(&call->in[X])));
    qn_shape y = {.rank = 2, .dim = {qn__rows(&call->in[X]), w->shape.dim[0]}};
    if (call->in[BIAS].there) {
        QN_TRY(qn__check_dtype(call, BIAS, QN_F32));
        QN_TRY(qn__check_rank(call, BIAS, 1, 1));
        QN_TRY(qn__check_dim(call, BIAS, 0, y.dim[1]));
    }
    if (call->in[C].there) {
        QN_TRY(qn__check_dtype(call, C, QN_F32));
        QN_CHECK(qn_shape_equal(&call->in[C].desc.shape, &y),
                 "qmatmul: input c does not have the shape of the product, [%lld, %lld]",
                 (long long)y.dim[0], (long long)y.dim[1]);
    }
    qn__out_shape(call, 0, QN_F32, &y);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 1, cost);
    cost->flops += 2.0 * (double)qn__elements(&call->out[0]) * (double)qn__cols(&call->in[X]);
}

static const char *refuse_matrix(const qn_call *call)
{
    if (call->caps->type != QN_CPU) return "the device is not a CPU";
    if (!qn__proven(call->caps, QN_PROBE_X86_VNNI))
        return "probe x86_vnni is not proven on this device";
    return NULL;
}

static void begin(qn_exec *exec, const qn_call *call, const char *kernel, int rows_at_once)
{
    bool large = qn__desc_bytes(&call->in[W].desc) >= 1 << 18;
    qn__exec_begin(exec, call, kernel, "-DQN_B=%d -DQN_BIAS=%d -DQN_FROM_C=%d -DQN_RT=%d%s",
                   (int)call->in[W].desc.dtype, call->in[BIAS].there, call->in[C].there,
                   rows_at_once, large ? AHEAD : "");
    qn__exec_tensor(exec, &call->out[0]);
    for (int i = X; i <= C; i++) qn__exec_tensor(exec, &call->in[i]);
    qn__exec_i32(exec, qn__rows(&call->in[X]));
    qn__exec_i32(exec, call->in[W].desc.shape.dim[0]);
    qn__exec_i32(exec, qn__cols(&call->in[X]) / 32);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    int64_t rows = qn__rows(&call->in[X]), cols = call->in[W].desc.shape.dim[0];
    if (call->variant->family == QN_PLAIN) {
        begin(exec, call, "qmatmul", 1);
        return qn__exec_run2(exec, qn__ceil_div(cols, 64), rows, 64);
    }
    int64_t panels = qn__ceil_div(cols, QN_PANEL);
    if (rows > FEW) {
        begin(exec, call, "qmatmul_many", MANY_ROWS);
        return qn__exec_run2(exec, panels, qn__ceil_div(rows, KEPT_ROWS), 1);
    }
    int at_once = rows > 1 ? FEW : 1;
    begin(exec, call, "qmatmul_few", at_once);
    return qn__exec_run2(exec, panels, qn__ceil_div(rows, at_once), 1);
}

const qn_op qn__op_qmatmul = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .variants = (const qn_variant[]){{"matrix", QN_MATRIX, QN_CHAIN, refuse_matrix, NULL},
                                     {"wide", QN_WIDE, QN_CHAIN, qn__refuse_wide, NULL},
                                     {"plain", QN_PLAIN, QN_CHAIN, qn__refuse_never, NULL},
                                     {0}},
};
