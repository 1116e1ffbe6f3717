/* Matrix product for GPUs: a group computes QN_TM x QN_TN elements, QN_RM x QN_RN an item, through
 * two buffers of local memory: while one slice of k is multiplied, the next is on its way to
 * registers, and goes to the other buffer after it; one barrier a slice. The chain over k is that
 * of the plain kernel: same bits. Arguments and meaning as in matmul.cl; grid: (column tiles, row
 * tiles, batch).
 *
 * A slice lies in local memory by k: line k holds a(m, k) for the rows of the tile (b: its columns)
 * as float4. Item (ti, tj) = (item / (QN_TN / QN_RN), item % (QN_TN / QN_RN)) has the rows 4 ti + c
 * + h QN_TM 4 / QN_RM and the columns 4 tj + c + g QN_TN 4 / QN_RN, c < 4, so that neighbours read
 * neighbouring float4.
 *
 * Meaning: QN_A_TURNED  0: a is stored along k, 1: along m;  QN_B_TURNED  0: along n, 1: along k
 * Tuning:  QN_TM, QN_TN 64 or 128, QN_RM, QN_RN 4 or 8, QN_DEPTH 8 or 16 */
#define QN_W 4
#include "activation.clh"
#include "matmul_onto.clh"

#ifndef QN_TM
#define QN_TM 64
#define QN_TN 64
#define QN_RM 4
#define QN_RN 4
#define QN_DEPTH 16
#endif
#ifndef QN_A_TURNED
#define QN_A_TURNED 0
#endif
#ifndef QN_B_TURNED
#define QN_B_TURNED 0
#endif
#if QN_TM % 64 || QN_TN % 64 || QN_RM % 4 || QN_RN % 4 || QN_RM > 8 || QN_RN > 8 || QN_DEPTH % 4
#error "tiles are 64 or 128 wide, 4 or 8 an item, and a multiple of 4 deep"
#endif

#define QN_ITEMS (QN_TM / QN_RM * (QN_TN / QN_RN))
#define QN_ITEM ((int)get_local_id(0))
/* float4 of a slice that an item fetches; of a line, with one more for the banks */
#define QN_PARTS(size) ((size)*QN_DEPTH / 4 / QN_ITEMS)
#define QN_LINE(size) ((size) / 4 + 1)
#define QN_SPACE(size) (QN_DEPTH * QN_LINE(size))
/* Steps of k side by side: with more, compilers keep so many operands that large tiles spill. */
#if QN_RM * QN_RN > 16
#define QN_STEPS 2
#else
#define QN_STEPS 8
#endif
#define QN_AQ (QN_RM / 4)
#define QN_BQ (QN_RN / 4)
#if QN_TM * QN_DEPTH < 4 * QN_ITEMS || QN_TN * QN_DEPTH < 4 * QN_ITEMS
#error "an item must fetch at least one float4 of each slice"
#endif

/* This item's share of a slice: `size` rows (columns), of which `left` are there, along `major`;
 * k_left of QN_DEPTH along k. along: stored along major, else along k. The rest is 0. */
inline void qn_fetch(float4 *part, __global const QN_ELEM *x, const ulong step_major,
                     const ulong step_k, const int size, const int left, const int k_left,
                     const bool along)
{
    QN_UNROLL for (int t = 0; t < QN_PARTS(size); t++)
    {
        const int e = QN_ITEM + t * QN_ITEMS;
        const int i = along ? e % (size / 4) * 4 : e / (QN_DEPTH / 4);
        const int k = along ? e / (size / 4) : e % (QN_DEPTH / 4) * 4;
        const int count = along ? (k < k_left ? left - i : 0) : (i < left ? k_left - k : 0);
        part[t] = count > 0 ? QN_LOADE(x + i * step_major + k * step_k, count) : (float4)(0.0f);
    }
}

inline void qn_keep(const float4 *part, __local float4 *tile, const int size, const bool along)
{
    QN_UNROLL for (int t = 0; t < QN_PARTS(size); t++)
    {
        const int e = QN_ITEM + t * QN_ITEMS;
        if (along) {
            tile[e / (size / 4) * QN_LINE(size) + e % (size / 4)] = part[t];
        } else {
            const int step = 4 * QN_LINE(size);
            __local float *to =
                (__local float *)tile + e % (QN_DEPTH / 4) * 4 * step + e / (QN_DEPTH / 4);
            to[0] = part[t].x;
            to[step] = part[t].y;
            to[2 * step] = part[t].z;
            to[3 * step] = part[t].w;
        }
    }
}

/* acc[r QN_BQ + g] += a of row r * four columns of b, for one k. */
inline void qn_step(float4 *acc, __local const float4 *a, __local const float4 *b)
{
    float4 columns[QN_BQ];
    QN_UNROLL for (int g = 0; g < QN_BQ; g++) columns[g] = b[g * (QN_TN / QN_RN)];
    QN_UNROLL for (int h = 0; h < QN_AQ; h++)
    {
        const float4 rows = a[h * (QN_TM / QN_RM)];
        QN_UNROLL for (int g = 0; g < QN_BQ; g++)
        {
            float4 *at = acc + 4 * h * QN_BQ + g;
            at[0] = QN_FMA((float4)(rows.x), columns[g], at[0]);
            at[QN_BQ] = QN_FMA((float4)(rows.y), columns[g], at[QN_BQ]);
            at[2 * QN_BQ] = QN_FMA((float4)(rows.z), columns[g], at[2 * QN_BQ]);
            at[3 * QN_BQ] = QN_FMA((float4)(rows.w), columns[g], at[3 * QN_BQ]);
        }
    }
}

inline int qn_row(const int r)
{
    return (QN_ITEM / (QN_TN / QN_RN) + r / 4 * (QN_TM / QN_RM)) * 4 + r % 4;
}

inline int qn_column(const int g)
{
    return (QN_ITEM % (QN_TN / QN_RN) + g * (QN_TN / QN_RN)) * 4;
}

#define QN_ONTO_PART(p) QN_LOAD(p, count)

/* As qn_finish_element of matmul_finish.clh, four columns from n on, `count` of which are there. */
inline void qn_finish(float4 sum, __global QN_ELEM_Y *y, __global QN_ELEM_Y *pre,
                      __global const float *bias, const int n, const int count)
{
#if QN_BIAS
    sum = sum + QN_LOAD(bias + n, count);
#endif
#if QN_PRE
    QN_STOREY(sum, pre + n, count);
#endif
#if QN_ACT
    sum = qn_activate(QN_ROUNDY(sum));
#endif
    QN_STOREY(sum, y + n, count);
}

__kernel __attribute__((reqd_work_group_size(QN_ITEMS, 1, 1))) void
matmul_tile(QN_OUT(QN_ELEM_Y, y), QN_OUT(QN_ELEM_Y, pre), QN_IN(QN_ELEM, a), QN_IN(QN_ELEM, b),
            QN_IN(float, bias), QN_IN(float, c), QN_ONTO_ARGS const int rows, const int cols,
            const int k_total, const ulong a_row, const ulong a_col, const ulong b_row,
            const ulong b_col, const ulong a_batch, const ulong b_batch, const ulong y_batch)
{
    __local float4 tile_a[2][QN_SPACE(QN_TM)], tile_b[2][QN_SPACE(QN_TN)];
    const int m0 = (int)get_group_id(1) * QN_TM, n0 = (int)get_group_id(0) * QN_TN;
    const ulong batch = get_group_id(2), line0 = batch * y_batch + (ulong)m0 * cols;
    __global const QN_ELEM *pa = QN_AT(a) + batch * a_batch + m0 * a_row;
    __global const QN_ELEM *pb = QN_AT(b) + batch * b_batch + n0 * b_col;
    float4 acc[QN_RM * QN_BQ], part_a[QN_PARTS(QN_TM)], part_b[QN_PARTS(QN_TN)];
    QN_UNROLL for (int i = 0; i < QN_RM * QN_BQ; i++)
    {
        acc[i] = (float4)(0.0f);
#if QN_FROM_C
        const int m = qn_row(i / QN_BQ), n = n0 + qn_column(i % QN_BQ), count = min(4, cols - n);
        if (m0 + m < rows && count > 0)
            acc[i] = QN_LOAD(QN_AT(c) + line0 + (ulong)m * cols + n, count);
#endif
    }
    const int first_row = qn_row(0) / 4, first_column = qn_column(0) / 4;
    const int slices = (k_total + QN_DEPTH - 1) / QN_DEPTH, whole = k_total / QN_DEPTH;
    if (slices > 0) {
        qn_fetch(part_a, pa, a_row, a_col, QN_TM, rows - m0, k_total, QN_A_TURNED);
        qn_fetch(part_b, pb, b_col, b_row, QN_TN, cols - n0, k_total, !QN_B_TURNED);
        qn_keep(part_a, tile_a[0], QN_TM, QN_A_TURNED);
        qn_keep(part_b, tile_b[0], QN_TN, !QN_B_TURNED);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int s = 0; s < whole; s++) {
        const int now = s & 1, k_left = k_total - (s + 1) * QN_DEPTH;
        pa += QN_DEPTH * a_col;
        pb += QN_DEPTH * b_row;
        if (k_left > 0) {
            qn_fetch(part_a, pa, a_row, a_col, QN_TM, rows - m0, k_left, QN_A_TURNED);
            qn_fetch(part_b, pb, b_col, b_row, QN_TN, cols - n0, k_left, !QN_B_TURNED);
        }
        QN_UNROLL_BY(QN_STEPS)
        for (int k = 0; k < QN_DEPTH; k++)
            qn_step(acc, tile_a[now] + k * QN_LINE(QN_TM) + first_row,
                    tile_b[now] + k * QN_LINE(QN_TN) + first_column);
        if (k_left > 0) {
            qn_keep(part_a, tile_a[1 - now], QN_TM, QN_A_TURNED);
            qn_keep(part_b, tile_b[1 - now], QN_TN, !QN_B_TURNED);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    for (int k = 0; k < k_total - whole * QN_DEPTH; k++) /* the rest of a slice that is not whole */
        qn_step(acc, tile_a[whole & 1] + k * QN_LINE(QN_TM) + first_row,
                tile_b[whole & 1] + k * QN_LINE(QN_TN) + first_column);
    QN_UNROLL for (int i = 0; i < QN_RM * QN_BQ; i++)
    {
        const int m = qn_row(i / QN_BQ), n = n0 + qn_column(i % QN_BQ), count = min(4, cols - n);
        const ulong line = line0 + (ulong)m * cols;
        if (m0 + m < rows && count > 0)
            qn_finish(QN_ADD_ONTO(QN_ONTO_PART, line + n, acc[i]), QN_AT(y) + line,
                      QN_AT(pre) + line, QN_AT(bias), n, count);
    }
}
