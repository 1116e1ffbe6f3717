#include "base/checked.h"
#include "ops/exec.h"

#include <math.h>
#include <stdio.h>

enum { Q, K, V, RANGES, SLOTS };
enum { O, LSE };
enum { SCALE, SOFT_CAP, KEYS };
enum { HEAD_LIMIT = 512, GROUP = 64, TILE_ITEMS = 128, TILE_ROWS = 16, TILE_HEAD_LIMIT = 256 };

/* Keys and values are of one type, the queries' or a cache's. */
static qn_status check_types(const qn_call *call)
{
    const qn_desc *q = &call->in[Q].desc;
    QN_TRY(qn__check_cached(call, K));
    QN_TRY(qn__check_type_like(call, V, K));
    QN_CHECK(qn__is_float(q->dtype) && q->layout == QN_ROWS,
             "attention: input q is %s; it must be f32, f16 or bf16, row-major",
             qn_dtype_name(q->dtype));
    QN_TRY(qn__check_dtype(call, RANGES, QN_I32));
    return call->in[SLOTS].there ? qn__check_dtype(call, SLOTS, QN_I32) : QN_OK;
}

static qn_status shape(qn_call *call)
{
    QN_TRY(check_types(call));
    for (int i = Q; i <= V; i++) QN_TRY(qn__check_rank(call, i, 3, 3));
    const int64_t *q = call->in[Q].desc.shape.dim, *k = call->in[K].desc.shape.dim;
    const int64_t *v = call->in[V].desc.shape.dim;
    QN_TRY(qn__check_dim(call, K, 2, q[2]));
    QN_TRY(qn__check_dim(call, V, 0, k[0]));
    QN_TRY(qn__check_dim(call, V, 1, k[1]));
    QN_CHECK(k[1] > 0 && q[1] % k[1] == 0,
             "attention: %lld heads do not divide among %lld key-value heads", (long long)q[1],
             (long long)k[1]);
    QN_CHECK(q[2] >= 1 && q[2] <= HEAD_LIMIT && v[2] >= 1 && v[2] <= HEAD_LIMIT,
             "attention: head sizes %lld and %lld are outside [1, %d]", (long long)q[2],
             (long long)v[2], HEAD_LIMIT);
    QN_TRY(qn__check_rank(call, RANGES, 2, 2));
    QN_TRY(qn__check_dim(call, RANGES, 0, q[0]));
    QN_TRY(qn__check_dim(call, RANGES, 1, 4));
    if (call->in[SLOTS].there) QN_TRY(qn__check_rank(call, SLOTS, 1, 1));
    QN_CHECK(call->attr[SOFT_CAP].f >= 0, "attention: soft_cap %g is negative",
             call->attr[SOFT_CAP].f);
    qn_shape o = {.rank = 3, .dim = {q[0], q[1], v[2]}}, lse = {.rank = 2, .dim = {q[0], q[1]}};
    qn__out_shape(call, O, call->in[Q].desc.dtype, &o);
    qn__out_shape(call, LSE, QN_F32, &lse);
    return QN_OK;
}

/* The truth is in the ranges, which only the device has: the attribute keys, or half of all. */
static void cost(const qn_call *call, qn_cost *cost)
{
    const int64_t *q = call->in[Q].desc.shape.dim, *k = call->in[K].desc.shape.dim;
    int64_t e = call->in[V].desc.shape.dim[2];
    double keys = call->attr[KEYS].f > 0 ? call->attr[KEYS].f : 0.5 * (double)k[0];
    double pairs = keys * (double)q[0] * (double)q[1];
    qn__cost_elementwise(call, 0, cost);
    cost->flops =
        pairs * (call->backward ? 8.0 * (double)q[2] + 6.0 * (double)e : 2.0 * (double)(q[2] + e));
}

static void add_sizes(qn_exec *exec, const qn_call *call)
{
    const int64_t *q = call->in[Q].desc.shape.dim;
    double scale = call->attr[SCALE].f != 0 ? call->attr[SCALE].f : 1.0 / sqrt((double)q[2]);
    qn__exec_f32(exec, scale);
    qn__exec_f32(exec, call->attr[SOFT_CAP].f);
    qn__exec_i32(exec, q[1]);
    qn__exec_i32(exec, call->in[K].desc.shape.dim[1]);
    qn__exec_i32(exec, q[0]);
}

static void begin(qn_exec *exec, const qn_call *call, const char *name)
{
    char kind[16] = "";
    qn_dtype keys = call->in[K].desc.dtype;
    if (keys != call->in[Q].desc.dtype) snprintf(kind, sizeof kind, " -DQN_KV=%d", (int)keys);
    qn__exec_begin(exec, call, name, "-DQN_D=%d -DQN_E=%d -DQN_CAP=%d -DQN_SLOTS=%d%s",
                   (int)call->in[Q].desc.shape.dim[2], (int)call->in[V].desc.shape.dim[2],
                   call->attr[SOFT_CAP].f > 0, call->in[SLOTS].there, kind);
}

/* Rows (keys, for dk and dv) a launch: all, or of tile kernels what keeps a launch short. */
static int64_t rows_a_launch(const qn_call *call, int64_t rows)
{
    qn_cost work;
    if (call->variant->family != QN_TILE || rows == 0) return rows > 0 ? rows : 1;
    cost(call, &work);
    int64_t parts = qn__launch_parts(call, work.flops);
    return (int64_t)qn__round_up((uint64_t)qn__ceil_div(rows, parts), TILE_ROWS);
}

/* One item a (row, head); wide: one a (16 rows, head), or as fwd says; tile: a group, for `count`
 * rows from `from`.
 */
static qn_status run(qn_exec *exec, const qn_call *call, int64_t from, int64_t count, int64_t heads)
{
    if (call->variant->family == QN_TILE) {
        qn__exec_i32(exec, from);
        return qn__exec_run2(exec, heads, qn__ceil_div(count, TILE_ROWS), TILE_ITEMS);
    }
    if (call->variant->family == QN_WIDE)
        return qn__exec_run2(exec, heads, qn__ceil_div(count, 16), 1);
    return qn__exec_run1(exec, qn__ceil_div(count * heads, GROUP), GROUP);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    const int64_t *q = call->in[Q].desc.shape.dim, step = rows_a_launch(call, q[0]);
    const int64_t groups = call->in[K].desc.shape.dim[1];
    for (int64_t from = 0; from == 0 || from < q[0]; from += step) {
        begin(exec, call, "attention_fwd");
        qn__exec_tensor(exec, &call->out[O]);
        qn__exec_tensor(exec, &call->out[LSE]);
        for (int i = Q; i <= SLOTS; i++) qn__exec_tensor(exec, &call->in[i]);
        add_sizes(exec, call);
        if (call->variant->family == QN_WIDE) /* lanes are pairs of a row and a head of a group */
            return run(exec, call, 0, groups > 0 ? q[0] * (q[1] / groups) : 0, groups);
        QN_TRY(run(exec, call, from, least(step, q[0] - from), q[1]));
    }
    return QN_OK;
}

/* delta [R, H]; then, where not all of dq, dk and dv are wanted, a place for the rest. */
static uint64_t delta_bytes(const qn_call *call)
{
    return qn__round_up(
        (uint64_t)(call->in[Q].desc.shape.dim[0] * call->in[Q].desc.shape.dim[1]) * 4, 64);
}

static uint64_t scratch(const qn_call *call)
{
    if (!call->backward) return 0;
    uint64_t bytes = delta_bytes(call);
    for (int i = Q; i <= V; i++)
        if (!call->din[i].there) bytes += qn__round_up(qn__desc_bytes(&call->in[i].desc), 64);
    return bytes;
}

static void add_wanted(qn_exec *exec, const qn_call *call, int input)
{
    uint64_t at = delta_bytes(call);
    for (int i = Q; i < input; i++)
        if (!call->din[i].there) at += qn__round_up(qn__desc_bytes(&call->in[i].desc), 64);
    if (call->din[input].there) qn__exec_tensor(exec, &call->din[input]);
    else qn__exec_scratch_as(exec, call, at, call->in[input].desc.dtype);
}

static qn_status run_dq(qn_exec *exec, const qn_call *call, int64_t from, int64_t count)
{
    begin(exec, call, "attention_dq");
    add_wanted(exec, call, Q);
    qn__exec_scratch(exec, call, 0);
    qn__exec_tensor(exec, &call->dout[O]);
    for (int i = Q; i <= RANGES; i++) qn__exec_tensor(exec, &call->in[i]);
    qn__exec_tensor(exec, &call->out[O]);
    qn__exec_tensor(exec, &call->out[LSE]);
    add_sizes(exec, call);
    return run(exec, call, from, count, call->in[Q].desc.shape.dim[1]);
}

static qn_status run_dkv(qn_exec *exec, const qn_call *call, int64_t from, int64_t count)
{
    begin(exec, call, "attention_dkv");
    add_wanted(exec, call, K);
    add_wanted(exec, call, V);
    qn__exec_scratch(exec, call, 0);
    qn__exec_tensor(exec, &call->dout[O]);
    for (int i = Q; i <= RANGES; i++) qn__exec_tensor(exec, &call->in[i]);
    qn__exec_tensor(exec, &call->out[LSE]);
    add_sizes(exec, call);
    return run(exec, call, from, count, call->in[K].desc.shape.dim[1]);
}

static qn_status bwd(qn_exec *exec, const qn_call *call)
{
    int64_t rows = call->in[Q].desc.shape.dim[0], step = rows_a_launch(call, rows);
    QN_CHECK(!call->in[SLOTS].there && rows == call->in[K].desc.shape.dim[0] &&
                 call->in[K].desc.dtype == call->in[Q].desc.dtype,
             "attention: no gradient through a slot table, with other keys than the rows' own, or "
             "with keys of another type");
    for (int64_t from = 0; from == 0 || from < rows; from += step)
        QN_TRY(run_dq(exec, call, from, least(step, rows - from)));
    if (!call->din[K].there && !call->din[V].there) return QN_OK;
    for (int64_t from = 0; from == 0 || from < rows; from += step)
        QN_TRY(run_dkv(exec, call, from, least(step, rows - from)));
    return QN_OK;
}

/* Bytes of local memory of the tile kernel that takes most, as it declares them. */
static uint64_t tile_bytes(const qn_call *call)
{
    uint64_t d = (uint64_t)call->in[Q].desc.shape.dim[2],
             e = (uint64_t)call->in[V].desc.shape.dim[2];
    uint64_t block = d + e <= 256 ? 64 : 32, small = 2048;
    uint64_t slice = 64 * (32 + 4), scores = 16 * (256 + 4), weights = 16 * (block + 4);
    uint64_t held = 16 * (d + 4), other = 16 * (e + 4);
    uint64_t floats = slice + held + (call->backward ? other + 2 * weights : scores);
    return floats * 4 + small;
}

static const char *refuse_tile(const qn_call *call)
{
    const int64_t *q = call->in[Q].desc.shape.dim, *v = call->in[V].desc.shape.dim;
    const char *why = qn__refuse_tile(call);
    if (why) return why;
    if (q[2] % 4 || v[2] % 4) return "head sizes are not multiples of 4";
    if (q[2] > TILE_HEAD_LIMIT || v[2] > TILE_HEAD_LIMIT) return "a head is larger than 256";
    if (tile_bytes(call) > call->caps->local_bytes) return "the device has too little local memory";
    return NULL;
}

const qn_op qn__op_attention = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .bwd = bwd,
    .bwd_reads_in = 1u << Q | 1u << K | 1u << V | 1u << RANGES,
    .bwd_reads_out = 1u << O | 1u << LSE,
    .variants = (const qn_variant[]){{"wide", QN_WIDE, QN_CHAIN, qn__refuse_wide, scratch},
                                     {"tile", QN_TILE, QN_CHAIN, refuse_tile, scratch},
                                     {"plain", QN_PLAIN, QN_CHAIN, qn__refuse_never, scratch},
                                     {0}},
};
