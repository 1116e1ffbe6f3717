/* Attention, one (row, head) an item; for dk and dv one (key, key-value head). See attention.clh.
 */
#include "attention.clh"

inline float qn_dot(__global const QN_ELEM *a, __global const QN_ELEM *b, const int n)
{
    float sum = 0.0f;
    for (int d = 0; d < n; d++) sum = QN_FMA(QN_GET(a + d), QN_GET(b + d), sum);
    return sum;
}

inline float qn_dot_key(__global const QN_ELEM *a, __global const QN_KV_ELEM *key, const int n)
{
    float sum = 0.0f;
    for (int d = 0; d < n; d++) sum = QN_FMA(QN_GET(a + d), QN_KV_GET(key, d), sum);
    return sum;
}

__kernel void attention_fwd(QN_OUT(QN_ELEM, o), QN_OUT(float, lse), QN_IN(QN_ELEM, q),
                            QN_IN(QN_KV_ELEM, k), QN_IN(QN_KV_ELEM, v), QN_IN(int, ranges),
                            QN_IN(int, slots), const float scale, const float cap, const int heads,
                            const int groups, const int rows)
{
    const int item = (int)get_global_id(0);
    if (item >= rows * heads) return;
    const int row = item / heads, head = item % heads, group = head / (heads / groups);
    __global const int *range = QN_AT(ranges) + (ulong)row * 4;
    const int base = range[0], from = range[1], to = range[2];
    __global const QN_ELEM *pq = QN_AT(q) + (ulong)item * QN_D;
    float out[QN_E], part[QN_E], score[QN_CHUNK];
    float m = -INFINITY, l = 0.0f;
    for (int e = 0; e < QN_E; e++) out[e] = 0.0f;
    for (int start = from; start < to;) {
        const int stop = min(to, base + ((start - base) / QN_CHUNK + 1) * QN_CHUNK);
        float m_part = -INFINITY, l_part = 0.0f;
        for (int j = start; j < stop; j++) {
            const ulong at = (ulong)qn_key_row(QN_AT(slots), j) * groups + group;
            const float dot = qn_dot_key(pq, QN_AT(k) + at * QN_KV_SPAN(QN_D), QN_D);
            score[j - start] = qn_cap(dot * scale, cap);
            m_part = fmax(m_part, score[j - start]);
        }
        for (int e = 0; e < QN_E; e++) part[e] = 0.0f;
        for (int j = start; j < stop; j++) {
            const ulong at = (ulong)qn_key_row(QN_AT(slots), j) * groups + group;
            const float p = qn_exp(score[j - start] - qn_seen(m_part));
            l_part = l_part + p;
            __global const QN_KV_ELEM *pv = QN_AT(v) + at * QN_KV_SPAN(QN_E);
            for (int e = 0; e < QN_E; e++) part[e] = QN_FMA(p, QN_KV_GET(pv, e), part[e]);
        }
        const float m_new = fmax(m, m_part), seen = qn_seen(m_new);
        const float keep = qn_exp(m - seen), add = qn_exp(m_part - seen);
        l = QN_FMA(l, keep, l_part * add);
        for (int e = 0; e < QN_E; e++) out[e] = QN_FMA(out[e], keep, part[e] * add);
        m = m_new;
        start = stop;
    }
    const float share = l > 0.0f || isnan(l) ? 1.0f / l : 0.0f;
    QN_AT(lse)[item] = l > 0.0f || isnan(l) ? m + qn_log(l) : -INFINITY;
    for (int e = 0; e < QN_E; e++) QN_PUT(out[e] * share, QN_AT(o) + (ulong)item * QN_E + e);
}

#if QN_KV == QN_T
/* dq, and delta for the other kernel. */
__kernel void attention_dq(QN_OUT(QN_ELEM, dq), QN_OUT(float, delta), QN_IN(QN_ELEM, dout),
                           QN_IN(QN_ELEM, q), QN_IN(QN_ELEM, k), QN_IN(QN_ELEM, v),
                           QN_IN(int, ranges), QN_IN(QN_ELEM, o), QN_IN(float, lse),
                           const float scale, const float cap, const int heads, const int groups,
                           const int rows)
{
    const int item = (int)get_global_id(0);
    if (item >= rows * heads) return;
    const int row = item / heads, head = item % heads, group = head / (heads / groups);
    __global const int *range = QN_AT(ranges) + (ulong)row * 4;
    __global const QN_ELEM *pq = QN_AT(q) + (ulong)item * QN_D,
                           *pdo = QN_AT(dout) + (ulong)item * QN_E;
    const float top = qn_dot(pdo, QN_AT(o) + (ulong)item * QN_E, QN_E), norm = QN_AT(lse)[item];
    float sum[QN_D];
    for (int d = 0; d < QN_D; d++) sum[d] = 0.0f;
    for (int j = range[1]; j < range[2]; j++) {
        const ulong at = (ulong)j * groups + group;
        __global const QN_ELEM *pk = QN_AT(k) + at * QN_D;
        const float s = qn_cap(qn_dot(pq, pk, QN_D) * scale, cap);
        const float dp = qn_dot(pdo, QN_AT(v) + at * QN_E, QN_E);
        const float ds = qn_exp(s - norm) * (dp - top) * qn_cap_slope(s, cap) * scale;
        for (int d = 0; d < QN_D; d++) sum[d] = QN_FMA(ds, QN_GET(pk + d), sum[d]);
    }
    QN_AT(delta)[item] = top;
    for (int d = 0; d < QN_D; d++) QN_PUT(sum[d], QN_AT(dq) + (ulong)item * QN_D + d);
}

__kernel void attention_dkv(QN_OUT(QN_ELEM, dk), QN_OUT(QN_ELEM, dv), QN_IN(float, delta),
                            QN_IN(QN_ELEM, dout), QN_IN(QN_ELEM, q), QN_IN(QN_ELEM, k),
                            QN_IN(QN_ELEM, v), QN_IN(int, ranges), QN_IN(float, lse),
                            const float scale, const float cap, const int heads, const int groups,
                            const int rows)
{
    const int item = (int)get_global_id(0);
    if (item >= rows * groups) return;
    const int key = item / groups, group = item % groups, share = heads / groups;
    __global const int *range = QN_AT(ranges) + (ulong)key * 4;
    __global const QN_ELEM *pk = QN_AT(k) + (ulong)item * QN_D, *pv = QN_AT(v) + (ulong)item * QN_E;
    float sum_k[QN_D], sum_v[QN_E];
    for (int d = 0; d < QN_D; d++) sum_k[d] = 0.0f;
    for (int e = 0; e < QN_E; e++) sum_v[e] = 0.0f;
    for (int head = group * share; head < (group + 1) * share; head++)
        for (int i = range[0]; i < range[3]; i++) {
            __global const int *seen = QN_AT(ranges) + (ulong)i * 4;
            if (key < seen[1] || key >= seen[2]) continue;
            const ulong at = (ulong)i * heads + head;
            __global const QN_ELEM *pq = QN_AT(q) + at * QN_D, *pdo = QN_AT(dout) + at * QN_E;
            const float s = qn_cap(qn_dot(pq, pk, QN_D) * scale, cap);
            const float p = qn_exp(s - QN_AT(lse)[at]);
            const float dp = qn_dot(pdo, pv, QN_E);
            const float ds = p * (dp - QN_AT(delta)[at]) * qn_cap_slope(s, cap) * scale;
            for (int e = 0; e < QN_E; e++) sum_v[e] = QN_FMA(p, QN_GET(pdo + e), sum_v[e]);
            for (int d = 0; d < QN_D; d++) sum_k[d] = QN_FMA(ds, QN_GET(pq + d), sum_k[d]);
        }
    for (int d = 0; d < QN_D; d++) QN_PUT(sum_k[d], QN_AT(dk) + (ulong)item * QN_D + d);
    for (int e = 0; e < QN_E; e++) QN_PUT(sum_v[e], QN_AT(dv) + (ulong)item * QN_E + e);
}
#endif
