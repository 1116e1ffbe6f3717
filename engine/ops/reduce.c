#include "ops/exec.h"

enum { AXIS, KIND };
enum { SUM, MEAN, MAX };
enum {
    CHUNK = 64,
    GROUP = 64,
    STRIP = 1024
}; /* rows of a part and columns of a wide item, as in columns.clh */

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_elements(call, 1));
    QN_TRY(qn__check_axis(call));
    int axis = (int)call->attr[AXIS].i;
    qn_shape y = call->in[0].desc.shape;
    y.rank--;
    for (int i = axis; i < y.rank; i++) y.dim[i] = y.dim[i + 1];
    QN_CHECK(call->attr[KIND].i != MAX || call->in[0].desc.shape.dim[axis] > 0 ||
                 qn_shape_elements(&y) == 0,
             "reduce: there is no maximum along dimension %d, which is 0", axis);
    qn__out_shape(call, 0, QN_F32, &y);
    return QN_OK;
}

/* x as [outer, length, inner]. */
typedef struct view {
    int64_t outer, length, inner;
    int64_t parts; /* of 64 along length, where inner > 1 */
    double factor;
} view;

static view view_of(const qn_call *call)
{
    const qn_shape *x = &call->in[0].desc.shape;
    int axis = (int)call->attr[AXIS].i;
    view v = {.outer = qn__shape_span(x, 0, axis),
              .length = x->dim[axis],
              .inner = qn__shape_span(x, axis + 1, x->rank),
              .factor = 1};
    v.parts = (v.length + CHUNK - 1) / CHUNK;
    if (call->attr[KIND].i == MEAN) v.factor = 1.0 / (double)v.length;
    return v;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, 0, cost);
    if (call->backward && call->attr[KIND].i != MAX)
        cost->bytes -= (double)qn__desc_bytes(&call->in[0].desc);
    cost->flops = (double)qn__elements(&call->in[0]);
}

static uint64_t scratch(const qn_call *call)
{
    view v = view_of(call);
    if (call->backward || v.inner == 1 || v.parts <= 1) return 0;
    return (uint64_t)v.outer * (uint64_t)v.parts * (uint64_t)v.inner * 4;
}

static void begin(qn_exec *exec, const qn_call *call, const char *kernel, bool from_parts)
{
    qn__exec_begin(exec, call, kernel, "-DQN_MAX=%d -DQN_FROM_PARTS=%d", call->attr[KIND].i == MAX,
                   from_parts);
}

/* One chain over each `chunk` of length; to and from are set, factor not. */
static qn_status columns(qn_exec *exec, const qn_call *call, const view *v, double factor,
                         int64_t length, int64_t chunk, int64_t parts)
{
    bool wide = call->variant->family == QN_WIDE;
    int64_t width = wide ? STRIP : GROUP * qn__exec_width(call);
    qn__exec_f32(exec, factor);
    qn__exec_i32(exec, length);
    qn__exec_i32(exec, chunk);
    qn__exec_i32(exec, parts);
    qn__exec_i32(exec, v->inner);
    return qn__exec_run2(exec, (v->inner + width - 1) / width, v->outer * parts, wide ? 1 : GROUP);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    view v = view_of(call);
    if (v.inner == 1) {
        begin(exec, call, "reduce_rows", false);
        qn__exec_tensor(exec, &call->out[0]);
        qn__exec_tensor(exec, &call->in[0]);
        qn__exec_f32(exec, v.factor);
        qn__exec_i32(exec, v.length);
        return qn__exec_rows(exec, call, v.outer);
    }
    if (v.parts > 1) {
        begin(exec, call, "reduce_columns", false);
        qn__exec_scratch(exec, call, 0);
        qn__exec_tensor(exec, &call->in[0]);
        QN_TRY(columns(exec, call, &v, 1, v.length, CHUNK, v.parts));
    }
    begin(exec, call, "reduce_columns", v.parts > 1 && call->in[0].desc.dtype != QN_F32);
    qn__exec_tensor(exec, &call->out[0]);
    if (v.parts > 1) {
        qn__exec_scratch(exec, call, 0);
        return columns(exec, call, &v, v.factor, v.parts, v.parts, 1);
    }
    qn__exec_tensor(exec, &call->in[0]);
    return columns(exec, call, &v, v.factor, v.length, CHUNK, 1);
}

static qn_status pick(qn_exec *exec, const qn_call *call, const view *v)
{
    int64_t width = qn__exec_width(call);
    begin(exec, call, v->inner == 1 ? "reduce_pick_rows" : "reduce_pick", false);
    qn__exec_tensor(exec, &call->din[0]);
    qn__exec_tensor(exec, &call->dout[0]);
    qn__exec_tensor(exec, &call->in[0]);
    qn__exec_i32(exec, v->length);
    if (v->inner == 1) return qn__exec_rows(exec, call, v->outer);
    qn__exec_i32(exec, v->inner);
    return qn__exec_items(exec, call,
                          v->length > 0 ? v->outer * ((v->inner + width - 1) / width) : 0);
}

static qn_status bwd(qn_exec *exec, const qn_call *call)
{
    view v = view_of(call);
    if (call->attr[KIND].i == MAX) return pick(exec, call, &v);
    begin(exec, call, v.inner == 1 ? "reduce_spread_rows" : "reduce_spread", false);
    qn__exec_tensor(exec, &call->din[0]);
    qn__exec_tensor(exec, &call->dout[0]);
    qn__exec_f32(exec, v.factor);
    qn__exec_u64(exec, (uint64_t)v.length);
    if (v.inner != 1) qn__exec_u64(exec, (uint64_t)v.inner);
    return qn__exec_elementwise(exec, call, qn__elements(&call->din[0]));
}

const qn_op qn__op_reduce = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .bwd = bwd,
    .bwd_reads_in = 1, /* max only */
    .variants = (const qn_variant[]){{"wide", QN_WIDE, QN_LANES64, qn__refuse_wide, scratch},
                                     {"tile", QN_TILE, QN_LANES64, qn__refuse_tile, scratch},
                                     {"plain", QN_PLAIN, QN_LANES64, qn__refuse_never, scratch},
                                     {0}},
};
