/* Product with a quantized matrix, one element of y an item. */
#define QN_W 1
#include "qmatmul.clh"

__kernel void qmatmul(QN_PARTS, QN_IN(uchar, x), QN_IN(float, c), const int rows,
                      const int blocks QN_ROWS_PARAMS)
{
    QN_FIND_PART(part, (int)get_group_id(0), 64);
    QN_FIND_ROWS(1);
    const int i = part.first + (int)get_local_id(0);
    if (i >= part.cols || from >= to) return;
    qb_panel panel = part.w + (ulong)(i / QB_PANEL) * QN_PANEL_BYTES;
    __global const uint *x_at =
        (__global const uint *)QN_AT(x) + (ulong)QN_X_ROW(from) * blocks * QN_BLOCK_WORDS;
    float total = 0.0f;
    for (int first = 0; first < blocks; first += QN_CHUNK / 32) {
        float acc = 0.0f;
        for (int s = first; s < min(blocks, first + QN_CHUNK / 32); s++) {
            uint quads[8];
            float scale[2], plus[2];
            qn_weights(qn_at(panel, s), i % QB_PANEL, s % QB_SUBS, quads, scale, plus);
            acc = qn_block(quads, scale, plus, x_at + s * QN_BLOCK_WORDS, acc);
        }
        total = total + acc;
    }
    qn_finish(&part, QN_AT(c), total, QN_Y_ROW(from), i);
}
