/* Products with quantized matrices. A CPU unpacks a panel for a few rows in registers, for many
 * once in local memory; both add in one order. */
#include "ops/qmatmul.h"
#include "base/checked.h"

enum { X, W, BIAS, C, W2, PARTS = 3 };
enum { GLU, OUT };
enum { MOST_FEW = 8 };

/* The matrix, and its bias, of output `part`. */
static int matrix_of(int part)
{
    return part == 0 ? W : 2 + 2 * part;
}

static int bias_of(int part)
{
    return part == 0 ? BIAS : 3 + 2 * part;
}

qn_status qn__check_panels(const qn_call *call, int in)
{
    const qn_op_row *row = qn__op_row(qn__op_id(call->op));
    const qn_desc *w = &call->in[in].desc;
    QN_CHECK(qn__has_panels(w->dtype) && w->layout == QN_PANELS,
             "%s: input %s is %s%s; it must be a quantized format in panels", row->stem,
             row->in[in].name, qn_dtype_name(w->dtype), w->layout == QN_PANELS ? ".panels" : "");
    return QN_OK;
}

const char *qn__refuse_vnni(const qn_call *call)
{
    if (call->caps->type != QN_CPU) return "the device is not a CPU";
    if (!qn__proven(call->caps, QN_PROBE_X86_VNNI))
        return "probe x86_vnni is not proven on this device";
    return NULL;
}

const char *qn__ask_ahead(const qn_call *call, int in)
{
    return qn__desc_bytes(&call->in[in].desc) >= 1 << 18 ? " -DQN_AHEAD=9216" : "";
}

static qn_status shape_part(qn_call *call, int part)
{
    int in = matrix_of(part), bias = bias_of(part);
    if (!call->in[in].there) {
        QN_CHECK(!call->in[bias].there && !call->out[part].there,
                 "qmatmul: output y%d has no matrix", part + 1);
        return QN_OK;
    }
    const qn_desc *w = &call->in[in].desc;
    QN_TRY(qn__check_rank(call, in, 2, 2));
    QN_TRY(qn__check_panels(call, in));
    QN_TRY(qn__check_type_like(call, in, W));
    QN_TRY(qn__check_dim(call, in, 1, qn__cols(&call->in[X])));
    if (call->in[bias].there) {
        QN_TRY(qn__check_dtype(call, bias, QN_F32));
        QN_TRY(qn__check_rank(call, bias, 1, 1));
        QN_TRY(qn__check_dim(call, bias, 0, w->shape.dim[0]));
    }
    qn_shape y = {.rank = 2, .dim = {qn__rows(&call->in[X]), w->shape.dim[0]}};
    qn__out_shape(call, part, QN_F32, &y);
    return QN_OK;
}

/* glu: one output of two matrices. */
static qn_status shape_gated(qn_call *call)
{
    if (!call->attr[GLU].i) {
        QN_CHECK(!call->attr[OUT].i, "qmatmul: out=q8x needs glu");
        return QN_OK;
    }
    QN_CHECK(call->in[W2].there && !call->out[2].there && !call->in[C].there,
             "qmatmul: glu takes two matrices and no c");
    QN_CHECK(qn_shape_equal(&call->out[0].desc.shape, &call->out[1].desc.shape),
             "qmatmul: glu of matrices of %lld and %lld rows",
             (long long)call->out[0].desc.shape.dim[1], (long long)call->out[1].desc.shape.dim[1]);
    call->out[1].there = false;
    if (!call->attr[OUT].i) return QN_OK;
    QN_CHECK(call->out[0].desc.shape.dim[1] % 32 == 0,
             "qmatmul: %lld columns; q8x has whole blocks of 32",
             (long long)call->out[0].desc.shape.dim[1]);
    call->out[0].desc.dtype = QN_Q8X;
    return QN_OK;
}

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_dtype(call, X, QN_Q8X));
    QN_TRY(qn__check_rank(call, X, 2, 2));
    for (int part = 0; part < PARTS; part++) QN_TRY(shape_part(call, part));
    QN_TRY(shape_gated(call));
    if (call->in[C].there) {
        const qn_shape *y = &call->out[0].desc.shape;
        QN_TRY(qn__check_dtype(call, C, QN_F32));
        QN_CHECK(qn_shape_equal(&call->in[C].desc.shape, y),
                 "qmatmul: input c does not have the shape of the product, [%lld, %lld]",
                 (long long)y->dim[0], (long long)y->dim[1]);
    }
    return QN_OK;
}

static int64_t columns(const qn_call *call, int part)
{
    return call->in[matrix_of(part)].there ? call->in[matrix_of(part)].desc.shape.dim[0] : 0;
}

/* In units of so many columns, each matrix by itself. */
static int64_t all_columns(const qn_call *call, int64_t unit)
{
    int64_t sum = 0;
    for (int part = 0; part < PARTS; part++) sum += qn__ceil_div(columns(call, part), unit);
    return sum;
}

/* Groups of so many columns: each matrix by itself, or two at once. */
static int64_t groups(const qn_call *call, int64_t unit)
{
    return call->attr[GLU].i ? qn__ceil_div(columns(call, 0), unit) : all_columns(call, unit);
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 1, cost);
    cost->flops += 2.0 * (double)qn__rows(&call->in[X]) * (double)all_columns(call, 1) *
                   (double)qn__cols(&call->in[X]);
}

static void begin(qn_exec *exec, const qn_call *call, const char *kernel, int rows_at_once)
{
    int biases = 0;
    for (int part = 0; part < PARTS; part++) biases |= call->in[bias_of(part)].there << part;
    qn__exec_begin(exec, call, kernel, "-DQN_B=%d -DQN_BIAS=%d -DQN_FROM_C=%d -DQN_RT=%d%s%s%s%s",
                   (int)call->in[W].desc.dtype, biases, call->in[C].there, rows_at_once,
                   qn__exec_dot(call), qn__ask_ahead(call, W),
                   call->attr[GLU].i ? " -DQN_GLU=1" : "", call->attr[OUT].i ? " -DQN_Q8X=1" : "");
    for (int part = 0; part < PARTS; part++) {
        qn__exec_tensor(exec, &call->out[part]);
        qn__exec_tensor(exec, &call->in[matrix_of(part)]);
        qn__exec_tensor(exec, &call->in[bias_of(part)]);
        qn__exec_i32(exec, columns(call, part));
    }
    qn__exec_tensor(exec, &call->in[X]);
    qn__exec_tensor(exec, &call->in[C]);
    qn__exec_i32(exec, qn__rows(&call->in[X]));
    qn__exec_i32(exec, qn__cols(&call->in[X]) / 32);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    int64_t rows = qn__rows(&call->in[X]);
    if (call->variant->family == QN_PLAIN) {
        begin(exec, call, "qmatmul", 1);
        return qn__exec_run2(exec, groups(call, 64), rows, 64);
    }
    int64_t panels = groups(call, QN_PANEL);
    if (call->variant->family == QN_TILE) {
        int rt = rows > 1 ? QN_FEW_ROWS : 1;
        begin(exec, call, "qmatmul_tile", rt);
        return qn__exec_run2(exec, panels, qn__ceil_div(rows, rt), QN_QTILE_ITEMS);
    }
    if (rows > MOST_FEW) {
        begin(exec, call, "qmatmul_many", QN_MANY_ROWS);
        return qn__exec_run2(exec, panels, qn__ceil_div(rows, QN_KEPT_ROWS), 1);
    }
    int at_once = rows > QN_FEW_ROWS ? MOST_FEW : rows > 1 ? QN_FEW_ROWS : 1;
    begin(exec, call, "qmatmul_few", at_once);
    return qn__exec_run2(exec, panels, qn__ceil_div(rows, at_once), 1);
}

const qn_op qn__op_qmatmul = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .variants = QN_VARIANTS_QMATMUL,
};
