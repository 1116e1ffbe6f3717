/* Matrix product for CPUs: register tiles of 12 x 32 elements, one work-item a panel of lanes and a
 * block of rows.
 *
 *   y = act(c + S V + bias). One operand is read as scalars (S: rows i), the other as vectors (V:
 * lanes). V holds panels of 16 QN_NV lanes: element (k, lane) of panel q lies at q * panel + k *
 * v_row + lane, which fits a row-major matrix with lanes along its rows (panel = 16 QN_NV, v_row =
 * its width) as well as panels packed by matmul_pack (v_row = 16 QN_NV, panel = v_row * k). Sum
 * order: chain.
 *
 * Meaning: QN_S_BY_K  0: s(i, k) = s[i * s_step + k]   1: s[k * s_step + i]
 *          QN_FLIP    0: y(i, lane) = y[i * y_step + lane]   1: y[lane * y_step + i]
 *          QN_PACKED 1: V holds panels from matmul_pack, which are float
 *          QN_FROM_C 0, 1, or 2: c is large; QN_BIAS 0/1, QN_PRE 0/1
 *          QN_ACT 0 none 1 gelu 2 gelu_erf 3 silu 4 relu 5 tanh; QN_ONTO as in matmul_onto.clh
 * Tuning:  QN_NV 1 or 2 vectors a tile row; QN_KC elements of k between visits to y;
 *          QN_FETCH_AHEAD 0/1 ask for rows of V before they are needed (V not packed);
 *          QN_STREAM 0/1 write y past the caches: it is large and not read soon */
#define QN_W 16
#include "activation.clh"
#include "matmul_onto.clh"
#include "tile.clh"

#ifndef QN_PACKED
#define QN_PACKED 0
#endif
#ifndef QN_NV
#define QN_NV 2
#endif
#ifndef QN_KC
#define QN_KC 1024
#endif
#ifndef QN_FETCH_AHEAD
#define QN_FETCH_AHEAD 0
#endif
#ifndef QN_STREAM
#define QN_STREAM 0
#endif
#ifndef __has_builtin
#define __has_builtin(x) 0
#endif
#if QN_NV != 1 && QN_NV != 2
#error "QN_NV must be 1 or 2"
#endif

#define QN_PANEL_LANES (16 * QN_NV)

/* V as stored, or in panels of float. */
#if QN_PACKED
#define QN_ELEM_V float
#define QN_LOADV(p) vload16(0, p)
#else
#define QN_ELEM_V QN_ELEM
#define QN_LOADV(p) QN_LOADE(p, 16)
#endif
#if QN_Y != 0 || QN_ONTO
#define QN_VISITS 1 /* sums cannot wait in y */
#else
#define QN_VISITS 0
#endif

typedef struct {
    __global const QN_ELEM *s;
    __global const QN_ELEM_V *v;
    __global const float *bias, *c, *onto[QN_ONTO + 1];
    __global QN_ELEM_Y *y, *pre;
    ulong s_step, v_row, y_step;
    int k_total, rows, lane, lanes; /* first lane of this panel; lanes in all */
} qn_product;

#include "matmul_edges.clh"

/* The scalars of a tile. Those of 16 bits are converted a stretch of k at a time: element (i, k) at
 * k * 16 + i (S_BY_K) or i * QN_SCALARS_K + k. left: elements from s to the end of the matrix. */
#define QN_SCALARS_K 256
#if QN_T == 0
#define QN_SCALARS __global const float
#else
#define QN_SCALARS const float
inline void qn_scalars(__global const QN_ELEM *s, const ulong s_step, const int rows,
                       const int count, const ulong left, float *to)
{
#if QN_S_BY_K
    for (int k = 0; k < count; k++) {
        const ulong there = left - k * s_step;
        vstore16(QN_LOADE(s + k * s_step, there >= 16 ? 16 : rows), k, to);
    }
#else
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < count; k += 16)
            vstore16(QN_LOADE(s + i * s_step + k, count - k), 0, to + i * QN_SCALARS_K + k);
#endif
}
#endif

#if QN_NV == 2
#define QN_ROWS 12
#define QN_TILE 12
#include "matmul_tile.clh"
#undef QN_TILE
#else
#define QN_ROWS 16
#define QN_TILE 16
#include "matmul_tile.clh"
#undef QN_TILE
#endif
#define QN_TILE 4
#include "matmul_tile.clh"
#undef QN_TILE
#define QN_TILE 1
#include "matmul_tile.clh"
#undef QN_TILE

/* Ask for this tile's share of the rows of V that come next (the next QN_KC of them, or the first
 * of the next panel, which this thread most likely does next): at a large stride the hardware does
 * not see them coming. */
inline void qn_fetch_ahead(const qn_product *p, const int k_next, const int done, const int rows)
{
#if QN_FETCH_AHEAD && __has_builtin(__builtin_prefetch)
    const bool over = k_next >= p->k_total;
    if (over && p->lane + 2 * QN_PANEL_LANES > p->lanes) return;
    __global const QN_ELEM_V *next = over ? p->v + QN_PANEL_LANES : p->v + (ulong)k_next * p->v_row;
    const int count = min(QN_KC, over ? p->k_total : p->k_total - k_next);
    const int share = count / (rows / QN_ROWS) + 1;
    const int first = done / QN_ROWS * share, last = min(count, first + share);
    for (int k = first; k < last; k++) {
        const size_t at = (size_t)(next + (ulong)k * p->v_row);
        __builtin_prefetch((const void *)at, 0, 2);
#if QN_NV == 2 && QN_T == 0
        __builtin_prefetch((const void *)(at + 64), 0, 2);
#endif
    }
#endif
}

/* Grid: (panels, blocks of block_rows rows, batch). */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
matmul_wide(QN_OUT(QN_ELEM_Y, y), QN_OUT(QN_ELEM_Y, pre), QN_IN(QN_ELEM, s), QN_IN(QN_ELEM_V, v),
            QN_IN(float, bias), QN_IN(float, c), QN_ONTO_ARGS const int rows, const int lanes,
            const int k_total, const ulong s_step, const ulong v_row, const ulong panel,
            const ulong y_step, const int block_rows, const ulong s_batch, const ulong v_batch,
            const ulong y_batch)
{
    const ulong q = get_group_id(0), batch = get_group_id(2);
    const int from = (int)get_group_id(1) * block_rows;
    const int to = min(rows, from + block_rows);
    qn_product p;
    p.s = QN_AT(s) + batch * s_batch;
    p.v = QN_AT(v) + batch * v_batch + q * panel;
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
    p.s_step = s_step;
    p.v_row = v_row;
    p.y_step = y_step;
    p.k_total = k_total;
    p.rows = rows;
    p.lane = (int)q * QN_PANEL_LANES;
    p.lanes = lanes;
    int k = 0;
    do { /* once even when k_total is 0: y = act(c + bias) */
        const int k_to = QN_VISITS ? k_total : min(k_total, k + QN_KC);
        int i = from;
        for (; i + QN_ROWS <= to; i += QN_ROWS) {
            if (k == 0) qn_fetch_c(&p, i + QN_ROWS, QN_ROWS);
            qn_fetch_ahead(&p, k_to, i - from, to - from);
            QN_CAT(qn_block_, QN_ROWS)(&p, i, k, k_to);
        }
        for (; i + 4 <= to; i += 4) qn_block_4(&p, i, k, k_to);
        for (; i < to; i++) qn_block_1(&p, i, k, k_to);
        k = k_to;
    } while (k < k_total);
#if QN_STREAM && __has_builtin(__builtin_ia32_sfence)
    __builtin_ia32_sfence(); /* streamed stores are in memory before this item is done */
#endif
}

/* Panels of V from a matrix: element (k, lane) = x[lane * x_step + k] (QN_TURN 1) or x[k * x_step +
 * lane] (0); lanes past the end become 0. Grid: (panels, blocks of 256 k, batch). */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
matmul_pack(__global float *panels, const ulong panels_offset, QN_IN(QN_ELEM, x), const int lanes,
            const int k_total, const ulong x_step, const ulong x_batch, const ulong panels_batch)
{
    const int lane0 = (int)get_group_id(0) * QN_PANEL_LANES;
    const int from = (int)get_group_id(1) * 256, to = min(k_total, from + 256);
    __global float *out =
        panels + panels_offset + get_group_id(2) * panels_batch + (ulong)lane0 * k_total;
    __global const QN_ELEM *in = QN_AT(x) + get_group_id(2) * x_batch;
    const int count = min(QN_PANEL_LANES, lanes - lane0);
#if QN_TURN
    for (int l = 0; l < QN_PANEL_LANES; l += 16) {
        const int some = count - l;
        int k = from;
        for (; some >= 16 && k + 16 <= to; k += 16) {
            uint16 tile[16];
            for (int i = 0; i < 16; i++)
                tile[i] = as_uint16(QN_LOADE(in + (ulong)(lane0 + l + i) * x_step + k, 16));
            qn_turn16(tile);
            for (int i = 0; i < 16; i++)
                vstore16(as_float16(tile[i]), 0, out + (ulong)(k + i) * QN_PANEL_LANES + l);
        }
        for (; k < to; k++)
            for (int i = 0; i < 16; i++)
                out[(ulong)k * QN_PANEL_LANES + l + i] =
                    i < some ? QN_GET(in + (ulong)(lane0 + l + i) * x_step + k) : 0.0f;
    }
#else
    for (int k = from; k < to; k++)
        for (int l = 0; l < QN_PANEL_LANES; l++)
            out[(ulong)k * QN_PANEL_LANES + l] =
                l < count ? QN_GET(in + (ulong)k * x_step + lane0 + l) : 0.0f;
#endif
}
