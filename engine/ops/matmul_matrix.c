/* matmul on a CPU's bf16 dot product, or its tile unit. Rows of y are the scalar operand, its
 * columns the vectors; the kernel gathers its panel of b itself, whichever way b is stored. Only
 * where a is stored with its rows along k (a gradient of weights) are pairs of k put side by side
 * first, and for the tile unit cut into its tiles. */
#include "ops/matmul.h"

#include <stdio.h>

enum { VECTORS = 2, ROW_UNIT = 12, ROWS_LIMIT = 264, DEPTH = 2048, ITEMS_WANTED = 8 };
enum { TILE = 16, TILE_DEPTH = 32, TILES_UNIT = 32, TILES_LIMIT = 256 };

/* QN_TILE_UNIT of the kernel. */
enum { DOT, AMX, AMX_SCALAR };

static int unit_of(const qn_call *call)
{
    if (call->variant->order != QN_MMA32) return DOT;
    return call->variant->only_forced ? AMX_SCALAR : AMX;
}

static const char *refuse(const qn_call *call)
{
    if (call->in[A].desc.dtype != QN_BF16) return "it multiplies bf16 only";
    if (call->caps->type != QN_CPU) return "the device is not a CPU";
    const uint64_t panel_and_sums = (DEPTH / 2 + ROWS_LIMIT) * 16 * VECTORS * 4;
    return panel_and_sums > call->caps->local_bytes ? "the device has too little local memory"
                                                    : NULL;
}

const char *qn__product_refuse_matrix(const qn_call *call)
{
    const char *why = refuse(call);
    if (!why && !qn__proven(call->caps, QN_PROBE_X86_BF16))
        why = "probe x86_bf16 is not proven on this device";
    return why;
}

const char *qn__product_refuse_amx(const qn_call *call)
{
    const char *why = refuse(call);
    if (!why && !qn__proven(call->caps, QN_PROBE_X86_AMX_BF16))
        why = "probe x86_amx_bf16 is not proven on this device";
    return why;
}

const char *qn__product_refuse_amx_scalar(const qn_call *call)
{
    const int64_t most = 1 << 23; /* a second or two */
    product p = qn__product(call);
    const char *why = refuse(call);
    if (!why && p.m * p.k > 0 && p.n * p.batch > most / (p.m * p.k))
        why = "it is for tests, and this product would take long";
    return why ? why : qn__refuse_wide(call);
}

static bool in_pairs(const product *p)
{
    return p->a_col != 1 && p->k > 1;
}

/* Of one member of the batch. */
static uint64_t pair_words(const qn_call *call, const product *p)
{
    if (unit_of(call) != DOT)
        return (uint64_t)qn__ceil_div(p->k, TILE_DEPTH) * (uint64_t)qn__ceil_div(p->m, TILE) *
               TILE * TILE;
    return (uint64_t)qn__ceil_div(p->k, 2) * (uint64_t)p->m;
}

uint64_t qn__product_scratch_matrix(const qn_call *call)
{
    product p = qn__product(call);
    return in_pairs(&p) ? pair_words(call, &p) * (uint64_t)p.batch * 4 : 0;
}

static qn_status pair_up(qn_exec *exec, const qn_call *call, const product *p)
{
    bool tiles = unit_of(call) != DOT;
    qn__exec_begin_file(exec, "matmul_dot.matrix.cl", tiles ? "matmul_tiles" : "matmul_pairs",
                        "-DQN_T=2 -DQN_S_BY_K=1 -DQN_TURN=0 -DQN_FROM_C=0 -DQN_BIAS=0 -DQN_PRE=0 "
                        "-DQN_ACT=0");
    qn__exec_scratch(exec, call, 0);
    qn__exec_tensor(exec, &call->in[A]);
    qn__exec_i32(exec, p->m);
    qn__exec_i32(exec, p->k);
    qn__exec_u64(exec, p->a_col);
    qn__exec_u64(exec, p->a_batch);
    qn__exec_u64(exec, pair_words(call, p));
    size_t of_pairs[3] = {(size_t)qn__ceil_div(p->m, 256), (size_t)qn__ceil_div(p->k, 2),
                          (size_t)p->batch};
    size_t of_tiles[3] = {(size_t)qn__ceil_div(p->k, TILE_DEPTH), (size_t)qn__ceil_div(p->m, TILE),
                          (size_t)p->batch};
    size_t local[3] = {1, 1, 1};
    return qn__exec_run(exec, 3, tiles ? of_tiles : of_pairs, local);
}

/* Enough items for every thread to get several, unless that means gathering panels again and again.
 */
static int64_t block_rows(const qn_call *call, const product *p, int64_t panels)
{
    bool tiles = unit_of(call) != DOT;
    int64_t unit = tiles ? TILES_UNIT : ROW_UNIT, limit = tiles ? TILES_LIMIT : ROWS_LIMIT;
    int64_t wanted = (int64_t)call->caps->compute_units * ITEMS_WANTED;
    int64_t blocks = qn__ceil_div(wanted, panels * p->batch > 0 ? panels * p->batch : 1);
    int64_t most = qn__ceil_div(p->m, 2 * unit), least = qn__ceil_div(p->m, limit);
    if (blocks > most) blocks = most;
    if (blocks < least) blocks = least;
    int64_t rows = (int64_t)qn__round_up((uint64_t)qn__ceil_div(p->m, blocks), (uint64_t)unit);
    return rows < limit ? rows : limit;
}

/* A weight's gradient is written once and read after the backward pass: see fwd_wide. */
static bool streams(const qn_call *call, const product *p)
{
    return call->out[Y].desc.dtype == QN_F32 && !call->in[C].there && !call->in[ONTO].there &&
           p->a_col != 1 && p->m * p->n * 4 >= QN_LARGE_BYTES;
}

qn_status qn__product_fwd_matrix(qn_exec *exec, const qn_call *call)
{
    static const char *const units[] = {"", " -DQN_TILE_UNIT=1", " -DQN_TILE_UNIT=2"};
    product p = qn__product(call);
    int unit = unit_of(call);
    char options[128];
    if (p.m == 0 || p.n == 0 || p.batch == 0) return QN_OK;
    bool pairs = in_pairs(&p), turn = p.b_col != 1;
    if (pairs) QN_TRY(pair_up(exec, call, &p));
    qn__product_epilogue(call, options, sizeof options);
    char all[256];
    snprintf(all, sizeof all,
             "-DQN_T=2 -DQN_NV=%d -DQN_KC=%d -DQN_KEPT=%d -DQN_S_BY_K=%d -DQN_TURN=%d "
             "-DQN_STREAM=%d%s %s",
             VECTORS, DEPTH, unit == DOT ? ROWS_LIMIT : TILES_LIMIT, pairs, turn, streams(call, &p),
             units[unit], options);
    qn__exec_begin_file(exec, "matmul_dot.matrix.cl", "matmul_dot", all);
    qn__product_tensors(exec, call, pairs ? NULL : &call->in[A], &call->in[B]);
    int64_t panels = qn__ceil_div(p.n, 16 * VECTORS);
    int64_t rows = block_rows(call, &p, panels);
    qn__exec_i32(exec, p.m);
    qn__exec_i32(exec, p.n);
    qn__exec_i32(exec, p.k);
    uint64_t of_pairs = unit == DOT ? (uint64_t)p.m : (uint64_t)qn__ceil_div(p.k, TILE_DEPTH);
    qn__exec_u64(exec, pairs ? of_pairs : p.a_row);
    qn__exec_u64(exec, turn ? p.b_col : p.b_row);
    qn__exec_u64(exec, (uint64_t)p.n);
    qn__exec_i32(exec, rows);
    qn__exec_u64(exec, pairs ? pair_words(call, &p) : p.a_batch);
    qn__exec_u64(exec, p.b_batch);
    qn__exec_u64(exec, p.y_batch);
    size_t groups[3] = {(size_t)panels, (size_t)qn__ceil_div(p.m, rows), (size_t)p.batch},
           local[3] = {1, 1, 1};
    return qn__exec_run(exec, 3, groups, local);
}
