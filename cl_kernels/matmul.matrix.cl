/* Matrix product of 16-bit elements on a GPU's matrix units, sums in float: a group computes QN_TM
 * x QN_TN elements, each unit (QN_LANES items) QN_WM x QN_WN of them, through two buffers of local
 * memory: the next slice of k is copied while this one is multiplied; one barrier a slice. Slices
 * lie there as they are stored, so nothing is turned on the way. Past the edges lie zeros. Sum
 * order: that of the unit, steps of 16 of k ascending, starting from c or 0 (QN_UNIT 0: one chain,
 * the bits of the plain kernel). Arguments as in matmul.tile.cl; grid: (column tiles, row tiles,
 * batch).
 *
 * Meaning: QN_UNIT, QN_T, QN_A_TURNED (a stored along m), QN_B_TURNED (b stored along k) as in
 *          matrix_unit.clh; QN_FROM_C, QN_BIAS, QN_PRE 0/1, QN_ACT as in matmul.cl; QN_Y of y
 * Tuning:  QN_TM, QN_TN of a group, QN_WM, QN_WN of a unit, multiples of 16; QN_DEPTH 16 or 32 */
#define QN_W 1
#include "matmul_finish.clh"
#include "matrix_unit.clh"

#ifndef QN_TM
#define QN_TM 64
#define QN_TN 64
#define QN_WM 32
#define QN_WN 32
#endif
#ifndef QN_DEPTH
#define QN_DEPTH 32
#endif
#if QN_TM % QN_WM || QN_TN % QN_WN || QN_WM % QN_FM || QN_WN % QN_FN || QN_DEPTH % QN_FK
#error "units must tile the group's elements, and fragments the unit's"
#endif

#define QN_ITEMS (QN_TM / QN_WM * (QN_TN / QN_WN) * QN_LANES)
#define QN_MF (QN_WM / QN_FM)
#define QN_NF (QN_WN / QN_FN)
/* Lines of a slice and their length; 8 more in local memory, for the banks. */
#define QN_A_LINES (QN_A_TURNED ? QN_DEPTH : QN_TM)
#define QN_A_LENGTH (QN_A_TURNED ? QN_TM : QN_DEPTH)
#define QN_A_LINE (QN_A_LENGTH + 8)
#define QN_B_LINES (QN_B_TURNED ? QN_TN : QN_DEPTH)
#define QN_B_LENGTH (QN_B_TURNED ? QN_DEPTH : QN_TN)
#define QN_B_LINE (QN_B_LENGTH + 8)
#define QN_A_SPACE (QN_A_LINES * QN_A_LINE / 8)
#define QN_B_SPACE (QN_B_LINES * QN_B_LINE / 8)
#if 2 * (QN_A_SPACE + QN_B_SPACE) * 16 > 49152
#error "two slices of a and b do not fit 48 KB"
#endif

typedef struct {
    ushort8 a[QN_COPY_PARTS(QN_A_LINES, QN_A_LENGTH, QN_ITEMS)];
    ushort8 b[QN_COPY_PARTS(QN_B_LINES, QN_B_LENGTH, QN_ITEMS)];
} qn_parts;

/* rows, cols, k_left: what is there from this slice's first element on. */
inline void qn_slice_begin(qn_parts *part, __local ushort *to_a, __local ushort *to_b,
                           __global const ushort *a, const ulong a_stride, __global const ushort *b,
                           const ulong b_stride, const int rows, const int cols, const int k_left)
{
    qn_copy_begin(part->a, to_a, QN_A_LINE, a, a_stride, QN_A_LINES, QN_A_LENGTH,
                  QN_A_TURNED ? k_left : rows, QN_A_TURNED ? rows : k_left, QN_ITEMS);
    qn_copy_begin(part->b, to_b, QN_B_LINE, b, b_stride, QN_B_LINES, QN_B_LENGTH,
                  QN_B_TURNED ? cols : k_left, QN_B_TURNED ? k_left : cols, QN_ITEMS);
}

inline void qn_slice_end(const qn_parts *part, __local ushort *to_a, __local ushort *to_b)
{
    qn_copy_end(part->a, to_a, QN_A_LINE, QN_A_LINES, QN_A_LENGTH, QN_ITEMS);
    qn_copy_end(part->b, to_b, QN_B_LINE, QN_B_LINES, QN_B_LENGTH, QN_ITEMS);
}

/* The unit's sums += a slice: rows from m0, columns from n0 of the tile. */
inline void qn_multiply(qn_frag_c *acc, __local const ushort *a, __local const ushort *b,
                        const int m0, const int n0)
{
    QN_UNIT_UNROLL for (int k = 0; k < QN_DEPTH; k += QN_FK)
    {
        qn_frag_a left[QN_MF];
        QN_UNROLL for (int i = 0; i < QN_MF; i++)
            qn_load_a(&left[i], a, QN_A_LINE, m0 + i * QN_FM, k);
        QN_UNROLL for (int j = 0; j < QN_NF; j++)
        {
            qn_frag_b right;
            qn_load_b(&right, b, QN_B_LINE, k, n0 + j * QN_FN);
            QN_UNROLL for (int i = 0; i < QN_MF; i++) qn_mma(&acc[i * QN_NF + j], &left[i], &right);
        }
    }
}

__kernel QN_UNIT_KERNEL __attribute__((reqd_work_group_size(QN_ITEMS, 1, 1))) void
matmul_matrix(QN_OUT(QN_ELEM_Y, y), QN_OUT(QN_ELEM_Y, pre), QN_IN(ushort, a), QN_IN(ushort, b),
              QN_IN(float, bias), QN_IN(float, c), QN_ONTO_ARGS const int rows, const int cols,
              const int k_total, const ulong a_row, const ulong a_col, const ulong b_row,
              const ulong b_col, const ulong a_batch, const ulong b_batch, const ulong y_batch)
{
    __local ushort8 tile_a[2][QN_A_SPACE], tile_b[2][QN_B_SPACE];
    const int m0 = (int)get_group_id(1) * QN_TM, n0 = (int)get_group_id(0) * QN_TN;
    const int unit = (int)get_local_id(0) / QN_LANES;
    const int m_unit = unit / (QN_TN / QN_WN) * QN_WM, n_unit = unit % (QN_TN / QN_WN) * QN_WN;
    const int m_left = rows - m0, n_left = cols - n0;
    const ulong batch = get_group_id(2), line0 = batch * y_batch + (ulong)m0 * cols + n0;
    const ulong a_stride = QN_A_TURNED ? a_col : a_row, b_stride = QN_B_TURNED ? b_col : b_row;
    __global const ushort *pa = QN_AT(a) + batch * a_batch + m0 * a_row;
    __global const ushort *pb = QN_AT(b) + batch * b_batch + n0 * b_col;
    qn_frag_c acc[QN_MF * QN_NF];
    qn_parts part;
    QN_UNROLL for (int f = 0; f < QN_MF * QN_NF; f++) QN_UNROLL for (int i = 0; i < QN_C_COUNT; i++)
    {
        QN_C(acc[f], i) = 0.0f;
#if QN_FROM_C
        const int m = m_unit + f / QN_NF * QN_FM + qn_c_row(i);
        const int n = n_unit + f % QN_NF * QN_FN + qn_c_col(i);
        if (m < m_left && n < n_left) QN_C(acc[f], i) = QN_AT(c)[line0 + (ulong)m * cols + n];
#endif
    }
    const int slices = (k_total + QN_DEPTH - 1) / QN_DEPTH;
    if (slices > 0) {
        qn_slice_begin(&part, (__local ushort *)tile_a[0], (__local ushort *)tile_b[0], pa,
                       a_stride, pb, b_stride, m_left, n_left, k_total);
        qn_slice_end(&part, (__local ushort *)tile_a[0], (__local ushort *)tile_b[0]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int s = 0; s < slices; s++) {
        __local ushort *now_a = (__local ushort *)tile_a[s & 1];
        __local ushort *now_b = (__local ushort *)tile_b[s & 1];
        __local ushort *next_a = (__local ushort *)tile_a[1 - (s & 1)];
        __local ushort *next_b = (__local ushort *)tile_b[1 - (s & 1)];
        const int k_left = k_total - (s + 1) * QN_DEPTH;
        pa += QN_DEPTH * a_col;
        pb += QN_DEPTH * b_row;
        if (k_left > 0)
            qn_slice_begin(&part, next_a, next_b, pa, a_stride, pb, b_stride, m_left, n_left,
                           k_left);
        qn_multiply(acc, now_a, now_b, m_unit, n_unit);
        if (k_left > 0) qn_slice_end(&part, next_a, next_b);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    QN_UNROLL for (int f = 0; f < QN_MF * QN_NF; f++) QN_UNROLL for (int i = 0; i < QN_C_COUNT; i++)
    {
        const int m = m_unit + f / QN_NF * QN_FM + qn_c_row(i);
        const int n = n_unit + f % QN_NF * QN_FN + qn_c_col(i);
        const ulong at = line0 + (ulong)m * cols + n;
        if (m < m_left && n < n_left)
            qn_finish_element(QN_ADD_ONTO(QN_ONTO_ELEMENT, at, QN_C(acc[f], i)), QN_AT(y),
                              QN_AT(pre), QN_AT(bias), n0 + n, at);
    }
}
