/* Product with a quantized matrix, one element of y an item; of y in q8x a block. */
#define QN_W 1
#include "qmatmul.clh"

/* The sum of the row at x with column i of a matrix. */
QB_INLINE float qn_sum(const qn_part *part, const int i, __global const uint *x, const int blocks)
{
    qb_panel panel = part->w + (ulong)(i / QB_PANEL) * QN_PANEL_BYTES;
    float total = 0.0f;
    for (int first = 0; first < blocks; first += QN_CHUNK / 32) {
        float acc = 0.0f;
        for (int s = first; s < min(blocks, first + QN_CHUNK / 32); s++) {
            uint quads[8];
            float scale[2], plus[2];
            qn_weights(qn_at(panel, s), i % QB_PANEL, s % QB_SUBS, quads, scale, plus);
            acc = qn_block(quads, scale, plus, x + s * QN_BLOCK_WORDS, acc);
        }
        total = total + acc;
    }
    return total;
}

__kernel void qmatmul(QN_PARTS, QN_IN(uchar, x), QN_IN(float, c), const int rows,
                      const int blocks QN_ROWS_PARAMS)
{
    QN_FIND_PART(part, (int)get_group_id(0), 64);
    QN_FIND_ROWS(1);
    const int i = part.first + (int)get_local_id(0);
    if (i >= part.cols || from >= to) return;
    __global const uint *x_at =
        (__global const uint *)QN_AT(x) + (ulong)QN_X_ROW(from) * blocks * QN_BLOCK_WORDS;
#if QN_GLU
    QN_FIND_SECOND(second, (int)get_group_id(0), 64);
#define QN_GATED(i)                                                                                \
    qn_gated(&part, &second, qn_sum(&part, i, x_at, blocks), qn_sum(&second, i, x_at, blocks), i)
#if QN_Q8X
    float values[32];
    if (i % 32 != 0) return;
    for (int l = 0; l < 32; l++) values[l] = QN_GATED(i + l);
    qn_put_block(qn_block_at(&part, QN_Y_ROW(from), i), values);
#else
    part.y[(ulong)QN_Y_ROW(from) * part.cols + i] = QN_GATED(i);
#endif
#else
    qn_finish(&part, QN_AT(c), qn_sum(&part, i, x_at, blocks), QN_Y_ROW(from), i);
#endif
}
