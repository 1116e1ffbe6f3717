/* Matrix product of bf16 on a CPU's dot product of pairs (AVX512-BF16 vdpbf16ps: acc += a1 b1, then
 * += a0 b0, in float): register tiles of QN_ROWS x 16 QN_NV elements, one work-item a panel of
 * lanes and a block of rows.
 *
 *   y = act(c + S V + bias). S is read as scalar pairs (rows i, elements 2p and 2p + 1 of k), V as
 * vectors of pairs (lanes). The item gathers its panel of V, pairs side by side, in local memory a
 * stretch of QN_KC elements of k at a time; sums wait in local memory between stretches. Sum order:
 * mma, pairs of k ascending, starting from c or 0; k odd: a last pair with a zero.
 *
 * Meaning: QN_S_BY_K  0: s(i, k) = s[i * s_step + k]   1: pairs from matmul_pairs, s[(k/2) * s_step
 *                        + i] as words
 *          QN_TURN    0: v(k, lane) = v[k * v_step + lane]   1: v[lane * v_step + k]
 *          QN_FROM_C, QN_BIAS, QN_PRE 0/1, QN_ACT, QN_ONTO as in matmul.wide.cl
 *          QN_TILE_UNIT  0, or the unit of tile_unit.clh that multiplies instead: blocks of 32
 * rows, sum order mma32; with QN_S_BY_K s holds tiles from matmul_tiles, s_step of them to 16 rows
 * Tuning:  QN_NV vectors a tile row, 2 or 4; QN_KC elements of k a stretch, even; QN_KEPT rows
 * whose sums fit between stretches; QN_STREAM 0/1 write y past the caches */
#define QN_W 16
#include "activation.clh"
#include "matmul_onto.clh"
#include "tile.clh"

#ifndef QN_NV
#define QN_NV 2
#endif
#ifndef QN_KC
#define QN_KC 2048
#endif
#ifndef QN_KEPT
#define QN_KEPT 264
#endif
#ifndef QN_STREAM
#define QN_STREAM 0
#endif
#ifndef QN_TILE_UNIT
#define QN_TILE_UNIT 0
#endif
#ifndef QN_FLIP
#define QN_FLIP 0
#endif
#ifndef __has_builtin
#define __has_builtin(x) 0
#endif
#if QN_NV != 2 && QN_NV != 4
#error "QN_NV must be 2 or 4"
#endif

#define QN_PANEL_LANES (16 * QN_NV)
#define QN_DOT(acc, a, b) __asm__("vdpbf16ps %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b))

/* 32 elements as 16 words, at any address of an element. */
typedef uint qn_words __attribute__((ext_vector_type(16), aligned(2)));

typedef struct {
    __global const ushort *s;
    __global const uint *pairs;
    __global const float *bias, *c, *onto[QN_ONTO + 1];
    __global QN_ELEM_Y *y, *pre;
    __local uint *panel;
    __local float *sums;
    ulong s_step, y_step;
    int k_total, rows, lane, lanes;
} qn_product;

#include "matmul_edges.clh"

#if QN_TILE_UNIT
#if QN_NV != 2 || QN_KC % 32 != 0
#error "a tile unit takes QN_NV 2 and a QN_KC of whole tiles"
#endif
#define QN_ROWS 32
#include "matmul_amx.clh"
#else
#if QN_NV == 2
#define QN_ROWS 12
#else
#define QN_ROWS 6
#endif
#define QN_TILE QN_ROWS
#include "matmul_dot.clh"
#undef QN_TILE
#define QN_TILE 4
#include "matmul_dot.clh"
#undef QN_TILE
#define QN_TILE 1
#include "matmul_dot.clh"
#undef QN_TILE
#endif

/* Pairs [from, to) of k of this panel into local memory; what lies past the edges is 0. */
inline void qn_gather(const qn_product *p, __global const ushort *v, const ulong v_step,
                      const int from, const int to)
{
    const int odd = p->k_total & 1;
    for (int j = 0; j < QN_NV; j++) {
        const int lane = p->lane + 16 * j, count = min(16, p->lanes - lane);
        __local uint *out = p->panel + 16 * j;
#if QN_TURN
        int pair = from;
        for (; count == 16 && pair + 16 <= to - odd; pair += 16) {
            uint16 tile[16];
            for (int l = 0; l < 16; l++)
                tile[l] = *(__global const qn_words *)(v + (ulong)(lane + l) * v_step + 2 * pair);
            qn_turn16(tile);
            for (int i = 0; i < 16; i++)
                vstore16(tile[i], 0, out + (ulong)(pair - from + i) * QN_PANEL_LANES);
        }
        for (; pair < to; pair++)
            for (int l = 0; l < 16; l++) {
                __global const ushort *at = v + (ulong)(lane + l) * v_step + 2 * pair;
                uint word = 0;
                if (l < count) word = at[0];
                if (l < count && 2 * pair + 1 < p->k_total) word |= (uint)at[1] << 16;
                out[(pair - from) * QN_PANEL_LANES + l] = word;
            }
#else
        __global const ushort *at = v + 2ul * from * v_step + lane;
        for (int pair = from; pair < to; pair++, at += 2 * v_step) {
            uint16 word = (uint16)(0);
            if (count > 0) word = qn_load_u16(at, count);
            if (count > 0 && 2 * pair + 1 < p->k_total)
                word |= qn_load_u16(at + v_step, count) << 16;
            vstore16(word, 0, out + (pair - from) * QN_PANEL_LANES);
        }
#endif
    }
}

/* Ask for this tile's share of the rows of V that come next: the next stretch, or the next panel's
 * first. At a large stride the hardware does not see them coming. */
inline void qn_fetch_ahead(const qn_product *p, __global const ushort *v, const ulong v_step,
                           const int k_next, const int done, const int rows)
{
#if QN_TURN == 0 && __has_builtin(__builtin_prefetch)
    const bool over = k_next >= p->k_total;
    if (over && p->lane + 2 * QN_PANEL_LANES > p->lanes) return;
    __global const ushort *next =
        v + p->lane + (over ? (ulong)QN_PANEL_LANES : (ulong)k_next * v_step);
    const int count = min(QN_KC, over ? p->k_total : p->k_total - k_next);
    const int share = count / (rows / QN_ROWS) + 1;
    const int first = done / QN_ROWS * share, last = min(count, first + share);
    for (int k = first; k < last; k++)
        for (int j = 0; j < QN_NV / 2; j++)
            __builtin_prefetch((const void *)((size_t)(next + (ulong)k * v_step + 32 * j)), 0, 2);
#endif
}

/* Grid: (panels, blocks of block_rows rows, batch). */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
matmul_dot(QN_OUT(QN_ELEM_Y, y), QN_OUT(QN_ELEM_Y, pre), QN_IN(ushort, s), QN_IN(ushort, v),
           QN_IN(float, bias), QN_IN(float, c), QN_ONTO_ARGS const int rows, const int lanes,
           const int k_total, const ulong s_step, const ulong v_step, const ulong y_step,
           const int block_rows, const ulong s_batch, const ulong v_batch, const ulong y_batch)
{
    __local uint panel[QN_KC / 2 * QN_PANEL_LANES];
    __local float sums[QN_KEPT * QN_PANEL_LANES];
    const ulong q = get_group_id(0), batch = get_group_id(2);
    const int from = (int)get_group_id(1) * block_rows;
    const int to = min(rows, from + block_rows);
    __global const ushort *vs = QN_AT(v) + batch * v_batch;
    qn_product p;
    p.s = QN_AT(s) + batch * s_batch;
    p.pairs = (__global const uint *)s_base + s_offset + batch * s_batch;
    p.y = QN_AT(y) + batch * y_batch;
    p.pre = QN_AT(pre) + batch * y_batch;
    p.c = QN_AT(c) + batch * y_batch;
    p.bias = QN_AT(bias);
#if QN_ONTO > 0
    p.onto[0] = QN_AT(onto) + batch * y_batch;
#endif
#if QN_ONTO > 1
    p.onto[1] = QN_AT(onto2) + batch * y_batch;
#endif
#if QN_ONTO > 2
    p.onto[2] = QN_AT(onto3) + batch * y_batch;
#endif
    p.panel = panel;
    p.sums = sums;
    p.s_step = s_step;
    p.y_step = y_step;
    p.k_total = k_total;
    p.rows = rows;
    p.lane = (int)q * QN_PANEL_LANES;
    p.lanes = lanes;
    int k = 0;
#if QN_TILE_UNIT
    qn_tile_begin();
#endif
    do { /* once even when k_total is 0: y = act(c + bias) */
        const int k_to = min(k_total, k + QN_KC);
        qn_gather(&p, vs, v_step, k / 2, (k_to + 1) / 2);
        int i = from;
#if QN_TILE_UNIT
        qn_fill_panel(&p, (k_to - k + 1) / 2);
        for (; i < to; i += QN_ROWS) {
            qn_fetch_ahead(&p, vs, v_step, k_to, i - from, max(QN_ROWS, to - from));
            qn_block_tiles(&p, i, min(QN_ROWS, to - i), i - from, k, k_to);
        }
#else
        for (; i + QN_ROWS <= to; i += QN_ROWS) {
            if (k == 0) qn_fetch_c(&p, i + QN_ROWS, QN_ROWS);
            qn_fetch_ahead(&p, vs, v_step, k_to, i - from, to - from);
            QN_CAT(qn_block_, QN_ROWS)(&p, i, i - from, k, k_to);
        }
        for (; i + 4 <= to; i += 4) qn_block_4(&p, i, i - from, k, k_to);
        for (; i < to; i++) qn_block_1(&p, i, i - from, k, k_to);
#endif
        k = k_to;
    } while (k < k_total);
#if QN_TILE_UNIT
    qn_tile_end();
#endif
#if QN_STREAM && __has_builtin(__builtin_ia32_sfence)
    __builtin_ia32_sfence(); /* streamed stores are in memory before this item is done */
#endif
}

/* Pairs of k side by side: word (p, i) = x(2p, i) | x(2p + 1, i) << 16, x [k_total, cols] with rows
 * x_step apart, past k_total 0. Grid: (blocks of 256 columns, pairs, batch). */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
matmul_pairs(__global uint *pairs, const ulong pairs_offset, QN_IN(ushort, x), const int cols,
             const int k_total, const ulong x_step, const ulong x_batch, const ulong pairs_batch)
{
    const int from = (int)get_group_id(0) * 256, to = min(cols, from + 256);
    const int k = (int)get_group_id(1) * 2;
    const bool both = k + 1 < k_total;
    __global const ushort *x0 = QN_AT(x) + get_group_id(2) * x_batch + (ulong)k * x_step;
    __global uint *out =
        pairs + pairs_offset + get_group_id(2) * pairs_batch + (ulong)(k / 2) * cols;
    int i = from;
    for (; i + 16 <= to; i += 16) {
        uint16 word = convert_uint16(vload16(0, x0 + i));
        if (both) word |= convert_uint16(vload16(0, x0 + x_step + i)) << 16;
        vstore16(word, 0, out + i);
    }
    for (; i < to; i++) out[i] = x0[i] | (both ? (uint)x0[x_step + i] << 16 : 0u);
}

/* Tiles of 16 columns i of x and 32 of k, a word a pair of k, zeros past the edges: word (i % 16, p
 * % 16) of tile (i / 16, p / 16) = x(2p, i) | x(2p + 1, i) << 16. Grid: (tiles of k, tiles of i,
 * batch). */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
matmul_tiles(__global uint *tiles, const ulong tiles_offset, QN_IN(ushort, x), const int cols,
             const int k_total, const ulong x_step, const ulong x_batch, const ulong tiles_batch)
{
    const int first = (int)get_group_id(1) * 16, k = (int)get_group_id(0) * 32;
    const int count = min(16, cols - first);
    __global const ushort *from = QN_AT(x) + get_group_id(2) * x_batch + (ulong)k * x_step + first;
    __global uint *out = tiles + tiles_offset + get_group_id(2) * tiles_batch +
                         (get_group_id(1) * get_num_groups(0) + get_group_id(0)) * 256;
    uint16 tile[16];
    for (int p = 0; p < 16; p++) {
        tile[p] = (uint16)(0);
        if (k + 2 * p < k_total) tile[p] = qn_load_u16(from + 2 * p * x_step, count);
        if (k + 2 * p + 1 < k_total)
            tile[p] |= qn_load_u16(from + (2 * p + 1) * x_step, count) << 16;
    }
    qn_turn16(tile);
    for (int i = 0; i < 16; i++) vstore16(tile[i], i, out);
}
