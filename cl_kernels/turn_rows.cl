/* Rows of a cache moved and turned, one (row, key-value head) an item: dst [rows, groups, D], from,
 * to [R], table [D/2, 2] of (cos, sin). Meaning: QN_D, QN_KV (cached.clh), QN_TURN 0/1. */
#define QN_W 1
#include "cached.clh"

__kernel void turn_rows_fwd(QN_OUT(QN_KV_ELEM, dst), QN_IN(int, from), QN_IN(int, to),
                            QN_IN(float, table), const int halves, const int groups, const int rows,
                            const int n)
{
    const int item = (int)get_global_id(0), row = item / groups, group = item % groups;
    if (item >= n) return;
    const int source = QN_AT(from)[row], target = QN_AT(to)[row];
    if (source < 0 || source >= rows || target < 0 || target >= rows) return;
    __global const QN_KV_ELEM *x = QN_AT(dst) + ((ulong)source * groups + group) * QN_KV_SPAN(QN_D);
    __global QN_KV_ELEM *y = QN_AT(dst) + ((ulong)target * groups + group) * QN_KV_SPAN(QN_D);
#if QN_TURN
    float head[QN_D];
    for (int d = 0; d < QN_D; d++) head[d] = QN_KV_GET(x, d);
    for (int e = 0; e < QN_D / 2; e++) {
        const int i = halves ? e : 2 * e, j = halves ? e + QN_D / 2 : 2 * e + 1;
        const float a = head[i], b = head[j], c = QN_AT(table)[2 * e], s = QN_AT(table)[2 * e + 1];
        head[i] = a * c - b * s;
        head[j] = a * s + b * c;
    }
#if QN_KV < 3
    for (int d = 0; d < QN_D; d++) QN_CAT(QN_PUT_, QN_KV)(head[d], y + d);
#else
    for (int d = 0; d < QN_D; d += 32) qn_kv_put_block(head + d, y + QN_KV_SPAN(d));
#endif
#else
    for (int i = 0; i < QN_KV_SPAN(QN_D); i++) y[i] = x[i];
#endif
}
