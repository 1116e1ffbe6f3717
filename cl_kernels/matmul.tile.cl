/* Matrix product for GPUs: a group of 256 items computes 64 x 64 elements, 4 x 4 an item, through
 * two buffers of local memory (16 KB), so that the next slice of k is fetched while this one is
 * multiplied. The chain over k is that of the plain kernel: same bits. Arguments and meaning as in
 * matmul.cl. Grid: (column tiles, row tiles, batch) groups of 256. */
#include "matmul_finish.clh"

#define QN_TILE_SIZE 64
#define QN_DEPTH 16

/* Elements past the edge are read as 0 and never stored. */
inline void qn_fetch(__global const float *x, const ulong step_major, const ulong step_k,
                     const int major_left, const int k_left, const int item, const bool k_fast,
                     __local float *tile)
{
    for (int t = 0; t < 4; t++) {
        const int e = item + t * 256;
        const int k = k_fast ? e % QN_DEPTH : e / QN_TILE_SIZE;
        const int i = k_fast ? e / QN_DEPTH : e % QN_TILE_SIZE;
        tile[k * QN_TILE_SIZE + i] =
            i < major_left && k < k_left ? x[i * step_major + k * step_k] : 0.0f;
    }
}

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
matmul_tile(QN_OUT(float, y), QN_OUT(float, pre), QN_IN(float, a), QN_IN(float, b),
            QN_IN(float, bias), QN_IN(float, c), const int rows, const int cols, const int k_total,
            const ulong a_row, const ulong a_col, const ulong b_row, const ulong b_col,
            const ulong a_batch, const ulong b_batch, const ulong y_batch)
{
    __local float tile_a[2][QN_DEPTH * QN_TILE_SIZE];
    __local float tile_b[2][QN_DEPTH * QN_TILE_SIZE];
    const int item = (int)get_local_id(0);
    const int m0 = (int)get_group_id(1) * QN_TILE_SIZE, n0 = (int)get_group_id(0) * QN_TILE_SIZE;
    const int ti = item / 16 * 4, tj = item % 16 * 4;
    const ulong batch = get_group_id(2);
    __global const float *pa = QN_AT(a) + batch * a_batch + m0 * a_row;
    __global const float *pb = QN_AT(b) + batch * b_batch + n0 * b_col;
    float acc[4][4];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            const int m = m0 + ti + i, n = n0 + tj + j;
            acc[i][j] = QN_FROM_C && m < rows && n < cols
                            ? QN_AT(c)[batch * y_batch + (ulong)m * cols + n]
                            : 0.0f;
        }
    const int slices = (k_total + QN_DEPTH - 1) / QN_DEPTH;
    if (slices > 0) {
        qn_fetch(pa, a_row, a_col, rows - m0, k_total, item, a_col == 1, tile_a[0]);
        qn_fetch(pb, b_col, b_row, cols - n0, k_total, item, b_row == 1, tile_b[0]);
    }
    for (int s = 0; s < slices; s++) {
        const int k0 = s * QN_DEPTH, now = s & 1;
        barrier(CLK_LOCAL_MEM_FENCE);
        if (s + 1 < slices) {
            const int k1 = k0 + QN_DEPTH;
            qn_fetch(pa + k1 * a_col, a_row, a_col, rows - m0, k_total - k1, item, a_col == 1,
                     tile_a[1 - now]);
            qn_fetch(pb + k1 * b_row, b_col, b_row, cols - n0, k_total - k1, item, b_row == 1,
                     tile_b[1 - now]);
        }
        const int depth = min(QN_DEPTH, k_total - k0);
        for (int k = 0; k < depth; k++)
            for (int i = 0; i < 4; i++)
                for (int j = 0; j < 4; j++)
                    acc[i][j] = QN_FMA(tile_a[now][k * QN_TILE_SIZE + ti + i],
                                       tile_b[now][k * QN_TILE_SIZE + tj + j], acc[i][j]);
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            const int m = m0 + ti + i, n = n0 + tj + j;
            if (m >= rows || n >= cols) continue;
            const ulong at = batch * y_batch + (ulong)m * cols + n;
            qn_finish_element(acc[i][j], QN_AT(y), QN_AT(pre), QN_AT(bias), n, at);
        }
}
