#include "ops/matmul.h"

#include <stdio.h>

enum { ITEMS_WANTED = 8, ROWS_LIMIT = 240, PACK_BLOCK = 256 };
enum { LAUNCH_ROWS = 128 }; /* a multiple of all tiles */
/* Elements of k between visits to y: a panel of them fits the second-level cache. */
enum { DEPTH = 1024 };

product qn__product(const qn_call *call)
{
    const qn_shape *a = &call->in[A].desc.shape, *b = &call->in[B].desc.shape;
    int64_t a0 = a->dim[a->rank - 2], a1 = a->dim[a->rank - 1];
    int64_t b0 = b->dim[b->rank - 2], b1 = b->dim[b->rank - 1];
    bool ta = call->attr[TRANS_A].i != 0, tb = call->attr[TRANS_B].i != 0;
    product p = {.m = ta ? a1 : a0, .k = ta ? a0 : a1, .n = tb ? b0 : b1, .batch = 1};
    p.a_row = ta ? 1 : (uint64_t)a1;
    p.a_col = ta ? (uint64_t)a1 : 1;
    p.b_row = tb ? 1 : (uint64_t)b1;
    p.b_col = tb ? (uint64_t)b1 : 1;
    if (a->rank == 3) {
        p.batch = a->dim[0];
        p.a_batch = (uint64_t)(a0 * a1);
        p.b_batch = b->rank == 3 ? (uint64_t)(b0 * b1) : 0;
        p.y_batch = (uint64_t)(p.m * p.n);
    }
    if (a->rank == 3 && b->rank == 2 && !ta) { /* one tall product instead of a batch */
        p.m *= p.batch;
        p.batch = 1;
    }
    return p;
}

static qn_status check_onto(const qn_call *call, const qn_shape *y, qn_dtype type)
{
    for (int i = ONTO; i <= ONTO_LAST; i++) {
        if (!call->in[i].there) continue;
        QN_CHECK(i == ONTO || call->in[i - 1].there, "matmul: onto%d without the one before it",
                 i - ONTO + 1);
        QN_CHECK(qn_shape_equal(&call->in[i].desc.shape, y) && type == QN_F32,
                 "matmul: onto must be as y, and y f32");
        QN_CHECK(!call->in[BIAS].there && !call->out[PRE].there && call->attr[ACT].i == 0,
                 "matmul: onto takes a product without bias, pre and act");
    }
    return QN_OK;
}

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_elements(call, 1u << A | 1u << B));
    QN_TRY(qn__check_rank(call, A, 2, 3));
    QN_TRY(qn__check_rank(call, B, 2, call->in[A].desc.shape.rank));
    const qn_shape *a = &call->in[A].desc.shape, *b = &call->in[B].desc.shape;
    bool ta = call->attr[TRANS_A].i != 0, tb = call->attr[TRANS_B].i != 0;
    int64_t m = a->dim[a->rank - (ta ? 1 : 2)], k = a->dim[a->rank - (ta ? 2 : 1)];
    QN_TRY(qn__check_dim(call, B, b->rank - (tb ? 1 : 2), k));
    int64_t n = b->dim[b->rank - (tb ? 2 : 1)];
    if (b->rank == 3) QN_TRY(qn__check_dim(call, B, 0, a->dim[0]));
    if (call->in[BIAS].there) {
        QN_TRY(qn__check_rank(call, BIAS, 1, 1));
        QN_TRY(qn__check_dim(call, BIAS, 0, n));
    }
    qn_shape y = *a;
    y.dim[y.rank - 2] = m;
    y.dim[y.rank - 1] = n;
    QN_CHECK(!call->in[C].there || qn_shape_equal(&call->in[C].desc.shape, &y),
             "matmul: input c does not have the shape of the product, [.., %lld, %lld]",
             (long long)m, (long long)n);
    qn_dtype type = qn__out_type(call, OUT, A);
    QN_TRY(check_onto(call, &y, type));
    qn__out_shape(call, Y, type, &y);
    if (call->out[PRE].there) qn__out_shape(call, PRE, type, &y);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    product p = qn__product(call);
    qn__cost_elementwise(call, call->attr[ACT].i ? 30 : 1, cost);
    cost->flops += 2.0 * (double)p.m * (double)p.n * (double)p.k * (double)p.batch;
}

/* 0: no c; 1: there is one; 2: it is larger than a CPU's caches. */
static int from_c(const qn_call *call)
{
    if (!call->in[C].there) return 0;
    return call->caps->type == QN_CPU && qn__elements(&call->in[C]) * 4 >= QN_LARGE_BYTES ? 2 : 1;
}

void qn__product_epilogue(const qn_call *call, char *text, size_t bytes)
{
    int used =
        snprintf(text, bytes, "-DQN_FROM_C=%d -DQN_BIAS=%d -DQN_PRE=%d -DQN_ACT=%d", from_c(call),
                 call->in[BIAS].there, call->out[PRE].there, (int)call->attr[ACT].i);
    qn_dtype y = call->out[Y].desc.dtype;
    if (y != call->in[A].desc.dtype)
        used += snprintf(text + used, bytes - (size_t)used, " -DQN_Y=%d", (int)y);
    int onto = 0;
    while (onto <= ONTO_LAST - ONTO && call->in[ONTO + onto].there) onto++;
    bool far = call->caps->type == QN_CPU && qn__elements(&call->out[Y]) * 4 >= QN_LARGE_BYTES;
    if (onto)
        snprintf(text + used, bytes - (size_t)used, " -DQN_ONTO=%d%s", onto,
                 far ? " -DQN_ONTO_FAR" : "");
}

void qn__product_tensors(qn_exec *exec, const qn_call *call, const qn_operand *s,
                         const qn_operand *v)
{
    qn__exec_tensor(exec, &call->out[Y]);
    qn__exec_tensor(exec, &call->out[PRE]);
    if (s) qn__exec_tensor(exec, s);
    else qn__exec_scratch(exec, call, 0);
    if (v) qn__exec_tensor(exec, v);
    else qn__exec_scratch(exec, call, 0);
    qn__exec_tensor(exec, &call->in[BIAS]);
    qn__exec_tensor(exec, &call->in[C]);
    for (int i = ONTO; i <= ONTO_LAST; i++)
        if (call->in[i].there) qn__exec_tensor(exec, &call->in[i]);
}

/* ---- plain and tile ---- */

static void add_strides(qn_exec *exec, const product *p)
{
    qn__exec_i32(exec, p->n);
    qn__exec_i32(exec, p->k);
    const uint64_t strides[] = {p->a_row,   p->a_col,   p->b_row,  p->b_col,
                                p->a_batch, p->b_batch, p->y_batch};
    for (int i = 0; i < 7; i++) qn__exec_u64(exec, strides[i]);
}

static qn_status fwd_plain(qn_exec *exec, const qn_call *call)
{
    product p = qn__product(call);
    char options[128];
    qn__product_epilogue(call, options, sizeof options);
    qn__exec_begin(exec, call, "matmul", "%s", options);
    qn__product_tensors(exec, call, &call->in[A], &call->in[B]);
    add_strides(exec, &p);
    size_t groups[3] = {(size_t)qn__ceil_div(p.n, 64), (size_t)p.m, (size_t)p.batch},
           local[3] = {64, 1, 1};
    return qn__exec_run(exec, 3, groups, local);
}

/* Tiles a group: rows, columns, items, slices of k. */
enum { TILE_ROWS, TILE_COLS, TILE_ITEMS, TILE_DEPTH };
static const qn_setting tile_settings[] = {
    {"64x64", {64, 64, 256, 16}, "-DQN_TM=64 -DQN_TN=64 -DQN_RM=4 -DQN_RN=4 -DQN_DEPTH=16"},
    {"64x64r8", {64, 64, 64, 8}, "-DQN_TM=64 -DQN_TN=64 -DQN_RM=8 -DQN_RN=8 -DQN_DEPTH=8"},
    {"128x64r4", {128, 64, 256, 16}, "-DQN_TM=128 -DQN_TN=64 -DQN_RM=8 -DQN_RN=4 -DQN_DEPTH=16"},
    {"128x64", {128, 64, 128, 16}, "-DQN_TM=128 -DQN_TN=64 -DQN_RM=8 -DQN_RN=8 -DQN_DEPTH=16"},
    {"64x128", {64, 128, 128, 16}, "-DQN_TM=64 -DQN_TN=128 -DQN_RM=8 -DQN_RN=8 -DQN_DEPTH=16"},
    {"128x128", {128, 128, 256, 8}, "-DQN_TM=128 -DQN_TN=128 -DQN_RM=8 -DQN_RN=8 -DQN_DEPTH=8"},
    {"128x128d16",
     {128, 128, 256, 16},
     "-DQN_TM=128 -DQN_TN=128 -DQN_RM=8 -DQN_RN=8 -DQN_DEPTH=16"},
    {0},
};

static uint64_t tile_bytes(const int32_t *knob)
{
    return 2 * 4 * (uint64_t)knob[TILE_DEPTH] *
           (uint64_t)(knob[TILE_ROWS] + knob[TILE_COLS] + 2 * 4);
}

static const char *refuse_tile(const qn_call *call)
{
    const char *why = qn__refuse_tile(call);
    if (why) return why;
    return tile_bytes(tile_settings[0].knob) > call->caps->local_bytes
               ? "the device has too little local memory"
               : NULL;
}

static const char *refuse_tile_setting(const qn_call *call, int setting)
{
    product p = qn__product(call);
    const int32_t *knob = tile_settings[setting].knob;
    if (knob[TILE_ROWS] > 64 && p.m <= 64) return "there are fewer rows than a tile has";
    if (knob[TILE_COLS] > 64 && p.n <= 64) return "there are fewer columns than a tile has";
    if (tile_bytes(knob) > call->caps->local_bytes) return "the device has too little local memory";
    return NULL;
}

/* Tiles of 128 read each operand half as often; those of 64 keep more of the device busy. */
static int tile_preset(const qn_call *call)
{
    product p = qn__product(call);
    int64_t groups = qn__ceil_div(p.m, 128) * qn__ceil_div(p.n, 128) * p.batch;
    const int large = 5;
    return groups >= 2 * (int64_t)call->caps->compute_units && !refuse_tile_setting(call, large)
               ? large
               : 0;
}

static void move(qn_operand *operand, uint64_t elements)
{
    operand->offset += elements * (uint64_t)qn_dtype_bytes(operand->desc.dtype);
}

qn_status qn__product_in_parts(qn_exec *exec, const qn_call *call, qn_product_launch one)
{
    const product p = qn__product(call);
    double flops = 2.0 * (double)p.m * (double)p.n * (double)p.k * (double)p.batch;
    int64_t parts = qn__launch_parts(call, flops), whole = p.batch == 1 ? p.m : p.batch;
    int64_t step = qn__ceil_div(whole, parts);
    if (p.batch == 1) step = (int64_t)qn__round_up((uint64_t)step, LAUNCH_ROWS);
    for (int64_t from = 0; from == 0 || from < whole; from += step) {
        qn_call part = *call;
        product q = p;
        int64_t count = whole - from < step ? whole - from : step;
        uint64_t at = (uint64_t)from, y = p.batch == 1 ? (uint64_t)p.n : p.y_batch;
        *(p.batch == 1 ? &q.m : &q.batch) = count;
        move(&part.in[A], at * (p.batch == 1 ? p.a_row : p.a_batch));
        move(&part.in[B], at * (p.batch == 1 ? 0 : p.b_batch));
        for (int i = C; i <= ONTO_LAST; i++) move(&part.in[i], at * y);
        move(&part.out[Y], at * y);
        move(&part.out[PRE], at * y);
        QN_TRY(one(exec, &part, &q));
        if (step == 0) break; /* nothing to do, and that is one launch */
    }
    return QN_OK;
}

static qn_status launch_tile(qn_exec *exec, const qn_call *call, const product *p)
{
    const int32_t *knob = tile_settings[call->setting].knob;
    char options[128];
    qn__product_epilogue(call, options, sizeof options);
    qn__exec_begin(exec, call, "matmul_tile", "-DQN_A_TURNED=%d -DQN_B_TURNED=%d %s", p->a_col != 1,
                   p->b_col != 1, options);
    qn__product_tensors(exec, call, &call->in[A], &call->in[B]);
    qn__exec_i32(exec, p->m);
    add_strides(exec, p);
    size_t groups[3] = {(size_t)qn__ceil_div(p->n, knob[TILE_COLS]),
                        (size_t)qn__ceil_div(p->m, knob[TILE_ROWS]), (size_t)p->batch};
    size_t local[3] = {(size_t)knob[TILE_ITEMS], 1, 1};
    return qn__exec_run(exec, 3, groups, local);
}

static qn_status fwd_tile(qn_exec *exec, const qn_call *call)
{
    return qn__product_in_parts(exec, call, launch_tile);
}

/* ---- wide ---- */

/* Knobs of wide: 0 leaves it to the shape. items: work-items wanted a compute unit; depth: elements
 * of k between visits to y; narrow: tiles of one vector; packed: pack an operand that could be read
 * as it is stored; still: ask for no rows ahead. */
enum { ITEMS, KC, NARROW, PACKED, STILL };
static const qn_setting wide_settings[] = {
    {"auto", {0}},
    {"items3", {[ITEMS] = 3}},
    {"items24", {[ITEMS] = 24}},
    {"deep", {[KC] = 4 * DEPTH}},
    {"shallow", {[KC] = DEPTH / 4}},
    {"narrow", {[NARROW] = 1}},
    {"packed", {[PACKED] = 1}},
    {"still", {[STILL] = 1}},
    {0},
};

static int wide_knob(const qn_call *call, int knob, int otherwise)
{
    int value = wide_settings[call->setting].knob[knob];
    return value ? value : otherwise;
}

/* Which operand is read as vectors, and how. flip: lanes run along m, so that b is the scalar
 * operand. */
typedef struct wide_plan {
    bool flip, pack, turn, s_by_k;
    int vectors; /* 16-lane vectors a tile row */
    int64_t rows, lanes;
    uint64_t s_step, v_step, s_batch, v_batch;
} wide_plan;

/* Vectors need an operand whose lanes are contiguous: b as stored [k, n], or a as stored [k, m].
 * Otherwise the smaller operand is packed into panels. All choices give the same bits. */
static wide_plan plan_wide(const qn_call *call, const product *p)
{
    wide_plan w = {0};
    bool b_lanes = p->b_col == 1, a_lanes = p->a_row == 1;
    if (b_lanes && !a_lanes) w.flip = false;
    else if (a_lanes && !b_lanes) w.flip = true;
    else if (b_lanes) w.flip = p->n % 32 != 0 && p->m % 32 == 0;
    else w.flip = p->m <= p->n;
    w.rows = w.flip ? p->n : p->m;
    w.lanes = w.flip ? p->m : p->n;
    w.vectors = w.lanes <= 16 || wide_knob(call, NARROW, 0) ? 1 : 2;
    w.turn = w.flip ? !a_lanes : !b_lanes;
    w.pack = w.turn || w.lanes % (16 * w.vectors) != 0 || wide_knob(call, PACKED, 0);
    w.s_by_k = w.flip ? p->b_col == 1 && p->b_row != 1 : p->a_row == 1 && p->a_col != 1;
    w.s_step = w.flip ? (w.s_by_k ? p->b_row : p->b_col) : (w.s_by_k ? p->a_col : p->a_row);
    w.v_step = w.flip ? (w.turn ? p->a_row : p->a_col) : (w.turn ? p->b_col : p->b_row);
    w.s_batch = w.flip ? p->b_batch : p->a_batch;
    w.v_batch = w.flip ? p->a_batch : p->b_batch;
    return w;
}

static uint64_t packed_elements(const product *p, const wide_plan *w)
{
    return qn__round_up((uint64_t)w->lanes, 16 * (uint64_t)w->vectors) * (uint64_t)p->k;
}

/* Enough for this shape and for every smaller m (the run-time dimension): the packed operand is the
 * smaller one. */
static uint64_t scratch_wide(const qn_call *call)
{
    product p = qn__product(call);
    wide_plan w = plan_wide(call, &p);
    uint64_t batch = w.v_batch ? (uint64_t)p.batch : 1;
    uint64_t bytes = w.pack ? packed_elements(&p, &w) * batch * 4 : 0;
    product small = p;
    if (small.m > small.n) small.m = small.n;
    w = plan_wide(call, &small);
    uint64_t other = w.pack ? packed_elements(&small, &w) * batch * 4 : 0;
    if (wide_knob(call, PACKED, 0) && p.a_row == 1 && p.b_col == 1) { /* either may be packed */
        w.lanes = p.m > p.n ? p.m : p.n;
        other = packed_elements(&p, &w) * (uint64_t)p.batch * 4;
    }
    return other > bytes ? other : bytes;
}

static qn_status pack(qn_exec *exec, const qn_call *call, const product *p, const wide_plan *w)
{
    qn__exec_begin(exec, call, "matmul_pack",
                   "-DQN_NV=%d -DQN_TURN=%d -DQN_S_BY_K=0 -DQN_FLIP=0 -DQN_FROM_C=0 "
                   "-DQN_BIAS=0 -DQN_PRE=0 -DQN_ACT=0",
                   w->vectors, w->turn);
    qn__exec_scratch(exec, call, 0);
    qn__exec_tensor(exec, w->flip ? &call->in[A] : &call->in[B]);
    qn__exec_i32(exec, w->lanes);
    qn__exec_i32(exec, p->k);
    qn__exec_u64(exec, w->v_step);
    qn__exec_u64(exec, w->v_batch);
    qn__exec_u64(exec, packed_elements(p, w));
    size_t batch = w->v_batch ? (size_t)p->batch : 1, local[3] = {1, 1, 1};
    size_t groups[3] = {(size_t)qn__ceil_div(w->lanes, 16 * w->vectors),
                        (size_t)qn__ceil_div(p->k, PACK_BLOCK), batch};
    return qn__exec_run(exec, 3, groups, local);
}

/* Rows a work-item: few enough that every thread gets several items, many enough to reuse a panel.
 */
static int64_t block_rows(const qn_call *call, const product *p, const wide_plan *w, int64_t panels)
{
    int64_t unit = w->vectors == 2 ? 12 : 16;
    int64_t wanted = (int64_t)call->caps->compute_units * wide_knob(call, ITEMS, ITEMS_WANTED);
    int64_t blocks = qn__ceil_div(wanted, panels * p->batch > 0 ? panels * p->batch : 1);
    int64_t least = qn__ceil_div(w->rows, ROWS_LIMIT);
    if (blocks < least) blocks = least;
    int64_t rows = (int64_t)qn__round_up((uint64_t)qn__ceil_div(w->rows, blocks), (uint64_t)unit);
    return rows > 0 ? rows : unit;
}

/* A weight's gradient is written once and read after the backward pass: when it is larger than the
 * second-level cache, spare the read that an ordinary store makes first. */
static bool streams(const product *p, const wide_plan *w, int depth)
{
    return !w->flip && w->s_by_k && p->k <= depth && p->m * p->n * 4 >= QN_LARGE_BYTES;
}

static const char *refuse_wide_setting(const qn_call *call, int setting)
{
    product p = qn__product(call);
    qn_call preset = *call;
    preset.setting = 0;
    wide_plan w = plan_wide(&preset, &p);
    const int32_t *knob = wide_settings[setting].knob;
    if (knob[KC] > DEPTH && p.k <= DEPTH) return "k is one block already";
    if (knob[KC] && p.k <= knob[KC] && knob[KC] < DEPTH) return "k is one block either way";
    if (knob[NARROW] && w.vectors == 1) return "the tile is one vector already";
    if ((knob[PACKED] || knob[STILL]) && w.pack) return "the operand is packed already";
    return NULL;
}

static qn_status fwd_wide(qn_exec *exec, const qn_call *call)
{
    product p = qn__product(call);
    wide_plan w = plan_wide(call, &p);
    char options[128];
    int depth = wide_knob(call, KC, DEPTH);
    uint64_t lanes = 16 * (uint64_t)w.vectors;
    if (p.m == 0 || p.n == 0 || p.batch == 0) return QN_OK;
    if (w.pack && p.k > 0) QN_TRY(pack(exec, call, &p, &w));
    qn__product_epilogue(call, options, sizeof options);
    qn__exec_begin(
        exec, call, "matmul_wide",
        "-DQN_NV=%d -DQN_S_BY_K=%d -DQN_FLIP=%d -DQN_TURN=0 -DQN_KC=%d -DQN_FETCH_AHEAD=%d "
        "-DQN_STREAM=%d -DQN_PACKED=%d %s",
        w.vectors, w.s_by_k, w.flip, depth, !w.pack && !wide_knob(call, STILL, 0),
        !call->in[C].there && !call->in[ONTO].there && streams(&p, &w, depth), w.pack, options);
    const qn_operand *s = w.flip ? &call->in[B] : &call->in[A],
                     *v = w.flip ? &call->in[A] : &call->in[B];
    qn__product_tensors(exec, call, s, w.pack ? NULL : v);
    int64_t panels = qn__ceil_div(w.lanes, (int64_t)lanes);
    int64_t rows = block_rows(call, &p, &w, panels);
    qn__exec_i32(exec, w.rows);
    qn__exec_i32(exec, w.lanes);
    qn__exec_i32(exec, p.k);
    qn__exec_u64(exec, w.s_step);
    qn__exec_u64(exec, w.pack ? lanes : w.v_step);
    qn__exec_u64(exec, w.pack ? lanes * (uint64_t)p.k : lanes);
    qn__exec_u64(exec, (uint64_t)p.n);
    qn__exec_i32(exec, rows);
    qn__exec_u64(exec, w.s_batch);
    qn__exec_u64(exec, !w.v_batch ? 0 : w.pack ? packed_elements(&p, &w) : w.v_batch);
    qn__exec_u64(exec, p.y_batch);
    size_t groups[3] = {(size_t)panels, (size_t)qn__ceil_div(w.rows, rows), (size_t)p.batch},
           local[3] = {1, 1, 1};
    return qn__exec_run(exec, 3, groups, local);
}

/* ---- CLBlast ---- */

static qn_gemm describe_gemm(const qn_call *call, const product *p)
{
    return (qn_gemm){.trans_a = call->attr[TRANS_A].i != 0,
                     .trans_b = call->attr[TRANS_B].i != 0,
                     .m = p->m,
                     .n = p->n,
                     .k = p->k,
                     .a = call->in[A].buffer,
                     .b = call->in[B].buffer,
                     .c = call->out[Y].buffer,
                     .a_offset = call->in[A].offset / 4,
                     .b_offset = call->in[B].offset / 4,
                     .c_offset = call->out[Y].offset / 4,
                     .lda = (int64_t)(p->a_row == 1 ? p->a_col : p->a_row),
                     .ldb = (int64_t)(p->b_col == 1 ? p->b_row : p->b_col),
                     .ldc = p->n};
}

static qn_status fwd_clblast(qn_exec *exec, const qn_call *call)
{
    product p = qn__product(call);
    if (exec->record || p.m == 0 || p.n == 0) return exec->status;
    qn_gemm gemm = describe_gemm(call, &p);
    /* With a transposed operand the leading dimension is the stored row, whatever the strides say.
     */
    const qn_shape *a = &call->in[A].desc.shape, *b = &call->in[B].desc.shape;
    gemm.lda = a->dim[a->rank - 1];
    gemm.ldb = b->dim[b->rank - 1];
    for (int64_t i = 0; i < p.batch; i++) {
        qn_gemm one = gemm;
        one.a_offset += (uint64_t)i * p.a_batch;
        one.b_offset += (uint64_t)i * p.b_batch;
        one.c_offset += (uint64_t)i * p.y_batch;
        QN_TRY(qn__clblast_sgemm(exec->device, &one));
    }
    return QN_OK;
}

static const char *refuse_clblast(const qn_call *call)
{
    if (call->in[A].desc.dtype != QN_F32) return "it multiplies f32 only";
    const char *why = qn__clblast_refuse();
    if (why) return why;
    if (call->in[BIAS].there || call->in[C].there || call->in[ONTO].there || call->out[PRE].there ||
        call->attr[ACT].i)
        return "it has no epilogue";
    if (qn__product(call).k == 0) return "k is 0";
    return NULL;
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    switch (call->variant->family) {
    case QN_WIDE: return fwd_wide(exec, call);
    case QN_TILE: return fwd_tile(exec, call);
    case QN_MATRIX:
        return call->variant->settings ? qn__product_fwd_units(exec, call)
                                       : qn__product_fwd_matrix(exec, call);
    case QN_CLBLAST: return fwd_clblast(exec, call);
    default: return fwd_plain(exec, call);
    }
}

bool qn__product_joins(const qn_call *call)
{
    bool waits = call->caps->type == QN_CPU && call->in[A].desc.dtype == QN_F32;
    return !waits || qn__product(call).k <= DEPTH;
}

/* ---- gradient: products again ---- */

static qn_status product_of(qn_grad_builder *g, int x, bool tx, int y, bool ty, bool f32, int *out)
{
    char line[64];
    int inputs[2] = {x, y};
    snprintf(line, sizeof line, "matmul trans_a=%d trans_b=%d%s", tx, ty, f32 ? " out=f32" : "");
    return g->emit(g, line, inputs, 2, out);
}

/* The gradient of what goes into act. */
static qn_status through_act(qn_grad_builder *g, int *dpre)
{
    int64_t act = g->call->attr[ACT].i;
    if (act == 0 || g->dout[Y] < 0) {
        *dpre = g->dout[Y];
        if (g->dout[PRE] < 0) return QN_OK;
        if (*dpre < 0) {
            *dpre = g->dout[PRE];
            return QN_OK;
        }
        int both[2] = {*dpre, g->dout[PRE]};
        return g->emit(g, "add", both, 2, dpre);
    }
    return qn__fail(
        QN_UNSUPPORTED,
        "matmul: differentiate before fusing act (the graph's passes do it in that order)");
}

/* dy as rows x n, for sums over everything but the last dimension. */
static qn_status flat(qn_grad_builder *g, int tensor, const qn_shape *shape, int *out)
{
    if (shape->rank == 2) {
        *out = tensor;
        return QN_OK;
    }
    qn_shape rows = {.rank = 2, .dim = {shape->dim[0] * shape->dim[1], shape->dim[2]}};
    return g->reshape(g, tensor, &rows, out);
}

static qn_status grad_b(qn_grad_builder *g, int dy)
{
    const qn_shape *a = &g->call->in[A].desc.shape, *b = &g->call->in[B].desc.shape;
    const qn_shape *y = &g->call->out[Y].desc.shape;
    bool ta = g->call->attr[TRANS_A].i != 0, tb = g->call->attr[TRANS_B].i != 0;
    int x = g->in[A], d = dy;
    if (a->rank == 3 && b->rank == 2) { /* b is shared: one product over all rows of the batch */
        if (ta) {
            int turned;
            QN_TRY(g->emit(g, "permute p0=0 p1=2 p2=1", &x, 1, &turned));
            qn_shape rows = {.rank = 2, .dim = {a->dim[0] * a->dim[2], a->dim[1]}};
            QN_TRY(g->reshape(g, turned, &rows, &x));
            ta = false;
        } else {
            QN_TRY(flat(g, x, a, &x));
        }
        QN_TRY(flat(g, d, y, &d));
    }
    /* op(b) = a^T dy; stored b is its transpose when trans_b */
    bool f32 = b->rank == 2 && g->call->in[B].desc.dtype != QN_F32;
    return tb ? product_of(g, d, true, x, ta, f32, &g->din[B])
              : product_of(g, x, !ta, d, false, f32, &g->din[B]);
}

static qn_status grad(qn_grad_builder *g)
{
    bool ta = g->call->attr[TRANS_A].i != 0, tb = g->call->attr[TRANS_B].i != 0;
    int dy;
    QN_TRY(through_act(g, &dy));
    if (dy < 0) return QN_OK;
    int dy_f32 = dy; /* or whatever y is */
    if (g->call->out[Y].desc.dtype != g->call->in[A].desc.dtype) {
        char line[32];
        snprintf(line, sizeof line, "cast to=%s", qn_dtype_name(g->call->in[A].desc.dtype));
        QN_TRY(g->emit(g, line, &dy, 1, &dy));
    }
    if (g->wanted[A]) {
        bool shared = g->call->in[A].desc.shape.rank == 3 && g->call->in[B].desc.shape.rank == 2;
        if (ta && !shared) QN_TRY(product_of(g, g->in[B], tb, dy, true, false, &g->din[A]));
        else QN_TRY(product_of(g, dy, false, g->in[B], !tb, false, &g->din[A]));
        if (ta && shared) QN_TRY(g->emit(g, "permute p0=0 p1=2 p2=1", &g->din[A], 1, &g->din[A]));
    }
    if (g->wanted[B]) QN_TRY(grad_b(g, dy));
    if (g->in[BIAS] >= 0 && g->wanted[BIAS]) {
        int rows;
        QN_TRY(flat(g, dy_f32, &g->call->out[Y].desc.shape, &rows));
        QN_TRY(g->emit(g, "reduce axis=0 kind=sum", &rows, 1, &g->din[BIAS]));
    }
    if (g->in[C] >= 0 && g->wanted[C]) g->din[C] = dy_f32;
    return QN_OK;
}

const qn_op qn__op_matmul = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .grad = grad,
    .bwd_reads_in = 1u << A | 1u << B,
    .fwd_in_place = 1u << C | 1u << ONTO | 1u << (ONTO + 1) | 1u << ONTO_LAST,
    .variants =
        (const qn_variant[]){
            {"matrix_amx", QN_MATRIX, QN_MMA32, qn__product_refuse_amx, qn__product_scratch_matrix},
            {"amx_scalar", QN_MATRIX, QN_MMA32, qn__product_refuse_amx_scalar,
             qn__product_scratch_matrix, true},
            {"matrix", QN_MATRIX, QN_MMA, qn__product_refuse_matrix, qn__product_scratch_matrix},
            {.name = "matrix_gpu",
             .family = QN_MATRIX,
             .order = QN_MMA,
             .refuse = qn__product_refuse_units,
             .settings = qn__product_units_settings,
             .preset = qn__product_units_preset,
             .refuse_setting = qn__product_refuse_units_setting},
            {.name = "matrix_scalar",
             .family = QN_MATRIX,
             .order = QN_CHAIN,
             .refuse = qn__product_refuse_scalar,
             .only_forced = true,
             .settings = qn__product_units_settings,
             .preset = qn__product_units_preset,
             .refuse_setting = qn__product_refuse_units_setting},
            {.name = "wide",
             .family = QN_WIDE,
             .order = QN_CHAIN,
             .refuse = qn__refuse_wide,
             .scratch = scratch_wide,
             .settings = wide_settings,
             .refuse_setting = refuse_wide_setting},
            {.name = "tile",
             .family = QN_TILE,
             .order = QN_CHAIN,
             .refuse = refuse_tile,
             .settings = tile_settings,
             .preset = tile_preset,
             .refuse_setting = refuse_tile_setting},
            {"clblast", QN_CLBLAST, QN_OWN, refuse_clblast, NULL, true},
            {"plain", QN_PLAIN, QN_CHAIN, qn__refuse_never, NULL},
            {0}},
};
