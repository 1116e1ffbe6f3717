/* Product with a quantized matrix on GPUs: a group takes a panel of 32 rows of w and QN_RT rows of
 * x. Its items are 32 lanes, one a row of the panel, times QN_SLOTS chunks of k; the sums of the
 * chunks meet in local memory and are added in their order. Neighbouring items read neighbouring
 * words. Tuning: QN_RT. */
#define QN_W 1
#include "qmatmul.clh"

#ifndef QN_RT
#define QN_RT 1
#endif
#define QN_SLOTS 8
#define QN_CHUNK_BLOCKS (QN_CHUNK / 32)

/* Grid: (panels, blocks of QN_RT rows). */
__kernel __attribute__((reqd_work_group_size(QB_PANEL * QN_SLOTS, 1, 1))) void
qmatmul_tile(QN_PARTS, QN_IN(uchar, x), QN_IN(float, c), const int rows,
             const int blocks QN_ROWS_PARAMS)
{
    __local float partial[QN_RT][QN_SLOTS][QB_PANEL];
    const int lane = (int)get_local_id(0) % QB_PANEL, slot = (int)get_local_id(0) / QB_PANEL;
    const int chunks = (blocks + QN_CHUNK_BLOCKS - 1) / QN_CHUNK_BLOCKS;
    QN_FIND_PART(part, (int)get_group_id(0), QB_PANEL);
    QN_FIND_ROWS(QN_RT);
    __global const uint *x_at[QN_RT];
    float total[1 + QN_GLU][QN_RT];
    for (int r = 0; r < QN_RT; r++)
        x_at[r] =
            (__global const uint *)QN_AT(x) + (ulong)QN_X_ROW(from + r) * blocks * QN_BLOCK_WORDS;
    QN_FIND_SECOND(second, (int)get_group_id(0), QB_PANEL);
    for (int m = 0; m <= QN_GLU; m++) {
        qb_panel panel = (m ? second.w : part.w) + (ulong)(part.first / QB_PANEL) * QN_PANEL_BYTES;
        for (int r = 0; r < QN_RT; r++) total[m][r] = 0.0f;
        for (int base = 0; base < chunks; base += QN_SLOTS) {
            const int first = (base + slot) * QN_CHUNK_BLOCKS;
            float acc[QN_RT];
            for (int r = 0; r < QN_RT; r++) acc[r] = 0.0f;
            for (int s = first; s < min(blocks, first + QN_CHUNK_BLOCKS); s++) {
                uint quads[8];
                float scale[2], plus[2];
                qn_weights(qn_at(panel, s), lane, s % QB_SUBS, quads, scale, plus);
                for (int r = 0; r < QN_RT; r++)
                    acc[r] = qn_block(quads, scale, plus, x_at[r] + s * QN_BLOCK_WORDS, acc[r]);
            }
            for (int r = 0; r < QN_RT; r++) partial[r][slot][lane] = acc[r];
            barrier(CLK_LOCAL_MEM_FENCE);
            for (int r = 0; r < QN_RT; r++)
                for (int k = 0; k < min(QN_SLOTS, chunks - base); k++)
                    total[m][r] = total[m][r] + partial[r][k][lane];
            barrier(CLK_LOCAL_MEM_FENCE);
        }
    }
#if QN_GLU
    for (int r = 0; r < QN_RT; r++)
        if (slot == 0)
            partial[r][0][lane] =
                qn_gated(&part, &second, total[0][r], total[1][r], part.first + lane);
    barrier(CLK_LOCAL_MEM_FENCE);
#if QN_Q8X
    const int own = (int)get_local_id(0); /* a row an item */
    if (own < QN_RT && from + own < to) {
        float values[32];
        for (int l = 0; l < 32; l++) values[l] = partial[own][0][l];
        qn_put_block(qn_block_at(&part, QN_Y_ROW(from + own), part.first), values);
    }
#else
    for (int r = slot; r < QN_RT; r += QN_SLOTS)
        if (from + r < to && part.first + lane < part.cols)
            part.y[(ulong)QN_Y_ROW(from + r) * part.cols + part.first + lane] = partial[r][0][lane];
#endif
#else
    for (int r = 0; r < QN_RT; r++)
        if (slot == 0 && from + r < to)
            qn_finish(&part, QN_AT(c), total[0][r], QN_Y_ROW(from + r), part.first + lane);
#endif
}
