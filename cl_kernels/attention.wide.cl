/* Attention for CPUs, a row and head a lane, so that every sum stays one chain. Forward: an item
 * takes 16 pairs (row, head of one key-value head), the heads of a row side by side: they read the
 * same keys. Backward: 16 rows of one head.
 * Scores of up to a chunk of keys wait in private memory. Rows of another sequence, or past their
 * range, are masked lanes: their score is -inf, their probability 0, and adding 0 changes nothing.
 * See attention.clh. */
#define QN_W 16
#include "attention.clh"

#define QN_STEP 4   /* keys (or elements of a head) worked on at once, for independent chains */
#define QN_BLOCK 64 /* rows visited at once in dk, dv */

/* Lane l of element d: x[(row0 + l) * stride + d]; rows past `count` read as 0. */
inline float16 qn_turn(__global const QN_ELEM *x, const ulong stride, const int count)
{
    float part[16];
    for (int l = 0; l < 16; l++) part[l] = l < count ? QN_GET(x + l * stride) : 0.0f;
    return vload16(0, part);
}

inline float16 qn_turn_float(__global const float *x, const ulong stride, const int count)
{
    float part[16];
    for (int l = 0; l < 16; l++) part[l] = l < count ? x[l * stride] : 0.0f;
    return vload16(0, part);
}

/* The same of rows of `size` anywhere: lane l of element d is x[at[l] * size + d]. */
inline float16 qn_gather(__global const QN_ELEM *x, const int *at, const int size, const int count)
{
    float part[16];
    for (int l = 0; l < 16; l++) part[l] = l < count ? QN_GET(x + (ulong)at[l] * size) : 0.0f;
    return vload16(0, part);
}

inline void qn_scatter(const float16 value, __global QN_ELEM *x, const int *at, const int size,
                       const int count)
{
    float part[16];
    vstore16(value, 0, part);
    for (int l = 0; l < count; l++) QN_PUT(part[l], x + (ulong)at[l] * size);
}

inline void qn_turn_back(const float16 value, __global QN_ELEM *x, const ulong stride,
                         const int count)
{
    float part[16];
    vstore16(value, 0, part);
    for (int l = 0; l < 16; l++)
        if (l < count) QN_PUT(part[l], x + l * stride);
}

inline void qn_turn_back_float(const float16 value, __global float *x, const ulong stride,
                               const int count)
{
    float part[16];
    vstore16(value, 0, part);
    for (int l = 0; l < 16; l++)
        if (l < count) x[l * stride] = part[l];
}

/* Rows of k, v, q or dout read as scalars. Floats are read where they lie; others are converted
 * first, some of them into private memory, each padded to whole vectors. */
#define QN_PADDED(size) (((size) + 15) / 16 * 16)
#if QN_KV == 0
#define QN_FLOATS __global const float
#define QN_LINES(name, count, size)
#define QN_LINE_READ(name, j, size, address)
#define QN_LINE(name, j, size, address) (address)
#define QN_V_LINES QN_CHUNK
#else
#define QN_FLOATS const float
#define QN_LINES(name, count, size) float name[(count)*QN_PADDED(size)]
#define QN_LINE_READ(name, j, size, address) qn_line_read(address, size, name + (j)*QN_PADDED(size))
#define QN_LINE(name, j, size, address) (name + (j)*QN_PADDED(size))
#define QN_V_LINES 32 /* rows of v converted at a time in the forward pass */

#if QN_KV < 3
inline void qn_line_read(__global const QN_KV_ELEM *x, const int size, float *to)
{
    for (int d = 0; d < size; d += 16)
        vstore16(QN_CAT(QN_LOAD_, QN_KV)(x + d, size - d), 0, to + d);
}
#else
inline void qn_line_read(__global const uchar *x, const int size, float *to)
{
    for (int d = 0; d < size; d += 32, x += QN_KV_BLOCK, to += 32) {
        const float16 scale = qn_half16(*(__global const ushort *)x);
#if QN_KV == 5
        const int16 low = convert_int16(vload16(0, (__global const char *)x + 2));
        const int16 high = convert_int16(vload16(1, (__global const char *)x + 2));
#else
        const int16 both = convert_int16(vload16(0, x + 2));
        const int16 low = (both & 15) - 8, high = (both >> 4) - 8;
#endif
        vstore16(convert_float16(low) * scale, 0, to);
        vstore16(convert_float16(high) * scale, 1, to);
    }
}
#endif
#endif

inline int16 qn_turn_int(__global const int *x, const int count)
{
    int part[16];
    for (int l = 0; l < 16; l++) part[l] = l < count ? x[l * 4] : 0;
    return vload16(0, part);
}

/* dots[t] = chain over d of x[d] * y_t[d] for QN_STEP rows y. */
inline void qn_dots(const float16 *x, QN_FLOATS **y, const int n, float16 *dots)
{
    float16 s0 = (float16)(0.0f), s1 = s0, s2 = s0, s3 = s0;
    QN_FLOATS *y0 = y[0], *y1 = y[1], *y2 = y[2], *y3 = y[3];
    for (int d = 0; d < n; d++) {
        const float16 a = x[d];
        s0 = QN_FMA(a, (float16)(y0[d]), s0);
        s1 = QN_FMA(a, (float16)(y1[d]), s1);
        s2 = QN_FMA(a, (float16)(y2[d]), s2);
        s3 = QN_FMA(a, (float16)(y3[d]), s3);
    }
    dots[0] = s0;
    dots[1] = s1;
    dots[2] = s2;
    dots[3] = s3;
}

/* sum[d] = chain over i of w[i] * rows_i[d], going on from sum; rows_i = x + index(i) * stride. */
#define QN_GATHER_CHAINS(sum, n, w, count, row_of)                                                 \
    do {                                                                                           \
        int d = 0;                                                                                 \
        for (; d + 8 <= (n); d += 8) {                                                             \
            float16 c0 = sum[d], c1 = sum[d + 1], c2 = sum[d + 2], c3 = sum[d + 3];                \
            float16 c4 = sum[d + 4], c5 = sum[d + 5], c6 = sum[d + 6], c7 = sum[d + 7];            \
            for (int i = 0; i < (count); i++) {                                                    \
                QN_FLOATS *x = (row_of) + d;                                                       \
                const float16 a = w[i];                                                            \
                c0 = QN_FMA(a, (float16)(x[0]), c0);                                               \
                c1 = QN_FMA(a, (float16)(x[1]), c1);                                               \
                c2 = QN_FMA(a, (float16)(x[2]), c2);                                               \
                c3 = QN_FMA(a, (float16)(x[3]), c3);                                               \
                c4 = QN_FMA(a, (float16)(x[4]), c4);                                               \
                c5 = QN_FMA(a, (float16)(x[5]), c5);                                               \
                c6 = QN_FMA(a, (float16)(x[6]), c6);                                               \
                c7 = QN_FMA(a, (float16)(x[7]), c7);                                               \
            }                                                                                      \
            sum[d] = c0, sum[d + 1] = c1, sum[d + 2] = c2, sum[d + 3] = c3;                        \
            sum[d + 4] = c4, sum[d + 5] = c5, sum[d + 6] = c6, sum[d + 7] = c7;                    \
        }                                                                                          \
        for (; d < (n); d++)                                                                       \
            for (int i = 0; i < (count); i++)                                                      \
                sum[d] = QN_FMA(w[i], (float16)((row_of)[d]), sum[d]);                             \
    } while (0)

inline int qn_least(const int16 x, const int16 use, const int none)
{
    int part[16], mask[16], least = none;
    vstore16(x, 0, part);
    vstore16(use, 0, mask);
    for (int l = 0; l < 16; l++)
        if (mask[l]) least = min(least, part[l]);
    return least;
}

inline int qn_most(const int16 x, const int16 use, const int none)
{
    return -qn_least(-x, use, -none);
}

#define QN_LANES_UP ((int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))

/* Key j of the chunk from `start`, in a tensor with heads of `size`. */
#define QN_KEY_AT(x, j, size)                                                                      \
    (QN_AT(x) + ((ulong)qn_key_row(QN_AT(slots), start + (j)) * groups + group) * QN_KV_SPAN(size))

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
attention_fwd(QN_OUT(QN_ELEM, o), QN_OUT(float, lse), QN_IN(QN_ELEM, q), QN_IN(QN_KV_ELEM, k),
              QN_IN(QN_KV_ELEM, v), QN_IN(int, ranges), QN_IN(int, slots), const float scale,
              const float cap, const int heads, const int groups, const int rows)
{
    const int group = (int)get_group_id(0), pair0 = (int)get_group_id(1) * 16;
    const int share = heads / groups, lanes = min(16, rows * share - pair0);
    int at[16], ends[3][16] = {{0}}; /* of each lane: row * heads + head; its range */
    for (int l = 0; l < lanes; l++) {
        const int row = (pair0 + l) / share;
        at[l] = row * heads + group * share + (pair0 + l) % share;
        for (int i = 0; i < 3; i++) ends[i][l] = QN_AT(ranges)[row * 4 + i];
    }
    const int16 base = vload16(0, ends[0]), from = vload16(0, ends[1]), to = vload16(0, ends[2]);
    int16 todo = (QN_LANES_UP < (int16)(lanes)) & (from < to);
    float16 query[QN_D], out[QN_E], part[QN_E], p[QN_CHUNK];
    QN_LINES(k_lines, QN_STEP, QN_D);
    QN_LINES(v_lines, QN_V_LINES, QN_E);
    float16 m = (float16)(-INFINITY), l = (float16)(0.0f);
    for (int d = 0; d < QN_D; d++) query[d] = qn_gather(QN_AT(q) + d, at, QN_D, lanes);
    for (int e = 0; e < QN_E; e++) out[e] = (float16)(0.0f);
    while (any(todo)) { /* the rows of one sequence at a time */
        const int first = qn_least(base, todo, INT_MAX);
        const int16 mine = todo & (base == (int16)(first));
        todo = todo & ~mine;
        const int last = qn_most(to, mine, 0);
        for (int start = qn_least(from, mine, INT_MAX); start < last;) {
            const int stop = min(last, first + ((start - first) / QN_CHUNK + 1) * QN_CHUNK);
            const int count = stop - start;
            float16 m_part = (float16)(-INFINITY), l_part = (float16)(0.0f);
            for (int j = 0; j < count; j += QN_STEP) {
                QN_FLOATS *keys[QN_STEP];
                float16 dots[QN_STEP];
                for (int t = 0; t < QN_STEP; t++) {
                    const int key = min(j + t, count - 1);
                    QN_LINE_READ(k_lines, t, QN_D, QN_KEY_AT(k, key, QN_D));
                    keys[t] = QN_LINE(k_lines, t, QN_D, QN_KEY_AT(k, key, QN_D));
                }
                qn_dots(query, keys, QN_D, dots);
                for (int t = 0; t < QN_STEP && j + t < count; t++) {
                    const int16 key = (int16)(start + j + t);
                    const float16 s = select((float16)(-INFINITY), qn_cap(dots[t] * scale, cap),
                                             mine & (key >= from) & (key < to));
                    p[j + t] = s;
                    m_part = fmax(m_part, s);
                }
            }
            const float16 top = qn_seen(m_part);
            for (int j = 0; j < count; j++) {
                p[j] = qn_exp(p[j] - top);
                l_part = l_part + p[j];
            }
            for (int e = 0; e < QN_E; e++) part[e] = (float16)(0.0f);
            for (int done = 0; done < count; done += QN_V_LINES) {
                const float16 *weight = p + done;
                const int some = min(QN_V_LINES, count - done);
                for (int j = 0; j < some; j++)
                    QN_LINE_READ(v_lines, j, QN_E, QN_KEY_AT(v, done + j, QN_E));
                QN_GATHER_CHAINS(part, QN_E, weight, some,
                                 QN_LINE(v_lines, i, QN_E, QN_KEY_AT(v, done + i, QN_E)));
            }
            const float16 m_new = fmax(m, m_part), seen = qn_seen(m_new);
            const float16 keep = qn_exp(m - seen), add = qn_exp(m_part - seen);
            l = QN_FMA(l, keep, l_part * add);
            for (int e = 0; e < QN_E; e++) out[e] = QN_FMA(out[e], keep, part[e] * add);
            m = m_new;
            start = stop;
        }
    }
    const int16 some = (l > (float16)(0.0f)) | isnan(l);
    const float16 share_of = select((float16)(0.0f), 1.0f / l, some);
    float logs[16];
    vstore16(select((float16)(-INFINITY), m + qn_log(l), some), 0, logs);
    for (int i = 0; i < lanes; i++) QN_AT(lse)[at[i]] = logs[i];
    for (int e = 0; e < QN_E; e++) qn_scatter(out[e] * share_of, QN_AT(o) + e, at, QN_E, lanes);
}

#if QN_KV == QN_T
/* The same without a slot table. */
#define QN_OWN_AT(x, j, size) (QN_AT(x) + ((ulong)(start + (j)) * groups + group) * (size))

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
attention_dq(QN_OUT(QN_ELEM, dq), QN_OUT(float, delta), QN_IN(QN_ELEM, dout), QN_IN(QN_ELEM, q),
             QN_IN(QN_ELEM, k), QN_IN(QN_ELEM, v), QN_IN(int, ranges), QN_IN(QN_ELEM, o),
             QN_IN(float, lse), const float scale, const float cap, const int heads,
             const int groups, const int rows)
{
    const int head = (int)get_group_id(0), row0 = (int)get_group_id(1) * 16;
    const int group = head / (heads / groups), lanes = min(16, rows - row0);
    const ulong q_step = (ulong)heads * QN_D, o_step = (ulong)heads * QN_E;
    const ulong q0 = (ulong)row0 * q_step + head * QN_D, o0 = (ulong)row0 * o_step + head * QN_E;
    const ulong r0 = (ulong)row0 * heads + head;
    __global const int *range = QN_AT(ranges) + (ulong)row0 * 4;
    const int16 from = qn_turn_int(range + 1, lanes), to = qn_turn_int(range + 2, lanes);
    const int16 use = (QN_LANES_UP < (int16)(lanes)) & (from < to);
    const float16 norm = qn_turn_float(QN_AT(lse) + r0, heads, lanes);
    float16 query[QN_D], grad[QN_E], sum[QN_D], ds[QN_CHUNK];
    QN_LINES(k_lines, QN_CHUNK, QN_D);
    QN_LINES(v_lines, QN_CHUNK, QN_E);
    float16 top = (float16)(0.0f);
    for (int d = 0; d < QN_D; d++) {
        query[d] = qn_turn(QN_AT(q) + q0 + d, q_step, lanes);
        sum[d] = (float16)(0.0f);
    }
    for (int e = 0; e < QN_E; e++) {
        grad[e] = qn_turn(QN_AT(dout) + o0 + e, o_step, lanes);
        top = QN_FMA(grad[e], qn_turn(QN_AT(o) + o0 + e, o_step, lanes), top);
    }
    const int last = qn_most(to, use, 0);
    for (int start = qn_least(from, use, INT_MAX); start < last; start += QN_CHUNK) {
        const int count = min(QN_CHUNK, last - start);
        for (int j = 0; j < count; j++) {
            QN_LINE_READ(k_lines, j, QN_D, QN_OWN_AT(k, j, QN_D));
            QN_LINE_READ(v_lines, j, QN_E, QN_OWN_AT(v, j, QN_E));
        }
        for (int j = 0; j < count; j += QN_STEP) {
            QN_FLOATS *keys[QN_STEP], *values[QN_STEP];
            float16 dots[QN_STEP], dps[QN_STEP];
            for (int t = 0; t < QN_STEP; t++) {
                const int key = min(j + t, count - 1);
                keys[t] = QN_LINE(k_lines, key, QN_D, QN_OWN_AT(k, key, QN_D));
                values[t] = QN_LINE(v_lines, key, QN_E, QN_OWN_AT(v, key, QN_E));
            }
            qn_dots(query, keys, QN_D, dots);
            qn_dots(grad, values, QN_E, dps);
            for (int t = 0; t < QN_STEP && j + t < count; t++) {
                const int16 key = (int16)(start + j + t);
                const float16 s = qn_cap(dots[t] * scale, cap);
                const float16 x = qn_exp(s - norm) * (dps[t] - top) * qn_cap_slope(s, cap) * scale;
                ds[j + t] = select((float16)(0.0f), x, use & (key >= from) & (key < to));
            }
        }
        QN_GATHER_CHAINS(sum, QN_D, ds, count, QN_LINE(k_lines, i, QN_D, QN_OWN_AT(k, i, QN_D)));
    }
    qn_turn_back_float(top, QN_AT(delta) + r0, heads, lanes);
    for (int d = 0; d < QN_D; d++) qn_turn_back(sum[d], QN_AT(dq) + q0 + d, q_step, lanes);
}

/* Visited row i. */
#define QN_ROW_AT(x, i, size) (QN_AT(x) + ((ulong)visit[i] * heads + head) * (size))

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
attention_dkv(QN_OUT(QN_ELEM, dk), QN_OUT(QN_ELEM, dv), QN_IN(float, delta), QN_IN(QN_ELEM, dout),
              QN_IN(QN_ELEM, q), QN_IN(QN_ELEM, k), QN_IN(QN_ELEM, v), QN_IN(int, ranges),
              QN_IN(float, lse), const float scale, const float cap, const int heads,
              const int groups, const int rows)
{
    const int group = (int)get_group_id(0), key0 = (int)get_group_id(1) * 16;
    const int share = heads / groups, lanes = min(16, rows - key0);
    const ulong k_step = (ulong)groups * QN_D, v_step = (ulong)groups * QN_E;
    const ulong k0 = (ulong)key0 * k_step + group * QN_D, v0 = (ulong)key0 * v_step + group * QN_E;
    __global const int *range = QN_AT(ranges) + (ulong)key0 * 4;
    const int16 use = QN_LANES_UP < (int16)(lanes), key = (int16)(key0) + QN_LANES_UP;
    const int first = qn_least(qn_turn_int(range, lanes), use, INT_MAX);
    const int last = qn_most(qn_turn_int(range + 3, lanes), use, 0);
    float16 keys[QN_D], values[QN_E], sum_k[QN_D], sum_v[QN_E], p[QN_BLOCK], ds[QN_BLOCK];
    int visit[QN_BLOCK];
    QN_LINES(q_lines, QN_BLOCK, QN_D);
    QN_LINES(g_lines, QN_BLOCK, QN_E);
    for (int d = 0; d < QN_D; d++) {
        keys[d] = qn_turn(QN_AT(k) + k0 + d, k_step, lanes);
        sum_k[d] = (float16)(0.0f);
    }
    for (int e = 0; e < QN_E; e++) {
        values[e] = qn_turn(QN_AT(v) + v0 + e, v_step, lanes);
        sum_v[e] = (float16)(0.0f);
    }
    for (int head = group * share; head < (group + 1) * share; head++)
        for (int row = first; row < last;) {
            int count = 0;
            for (; row < last && count < QN_BLOCK; row++) { /* rows that see any of these keys */
                __global const int *seen = QN_AT(ranges) + (ulong)row * 4;
                if (seen[1] < key0 + lanes && seen[2] > key0) visit[count++] = row;
            }
            for (int i = 0; i < count; i++) {
                QN_LINE_READ(q_lines, i, QN_D, QN_ROW_AT(q, i, QN_D));
                QN_LINE_READ(g_lines, i, QN_E, QN_ROW_AT(dout, i, QN_E));
            }
            for (int i = 0; i < count; i += QN_STEP) {
                QN_FLOATS *queries[QN_STEP], *grads[QN_STEP];
                float16 dots[QN_STEP], dps[QN_STEP];
                for (int t = 0; t < QN_STEP; t++) {
                    const int row_of = min(i + t, count - 1);
                    queries[t] = QN_LINE(q_lines, row_of, QN_D, QN_ROW_AT(q, row_of, QN_D));
                    grads[t] = QN_LINE(g_lines, row_of, QN_E, QN_ROW_AT(dout, row_of, QN_E));
                }
                qn_dots(keys, queries, QN_D, dots);
                qn_dots(values, grads, QN_E, dps);
                for (int t = 0; t < QN_STEP && i + t < count; t++) {
                    __global const int *seen = QN_AT(ranges) + (ulong)visit[i + t] * 4;
                    const ulong at = (ulong)visit[i + t] * heads + head;
                    const int16 shown = use & (key >= (int16)(seen[1])) & (key < (int16)(seen[2]));
                    const float16 s = qn_cap(dots[t] * scale, cap);
                    const float16 prob = qn_exp(s - QN_AT(lse)[at]);
                    const float16 x =
                        prob * (dps[t] - QN_AT(delta)[at]) * qn_cap_slope(s, cap) * scale;
                    p[i + t] = select((float16)(0.0f), prob, shown);
                    ds[i + t] = select((float16)(0.0f), x, shown);
                }
            }
            QN_GATHER_CHAINS(sum_v, QN_E, p, count,
                             QN_LINE(g_lines, i, QN_E, QN_ROW_AT(dout, i, QN_E)));
            QN_GATHER_CHAINS(sum_k, QN_D, ds, count,
                             QN_LINE(q_lines, i, QN_D, QN_ROW_AT(q, i, QN_D)));
        }
    for (int d = 0; d < QN_D; d++) qn_turn_back(sum_k[d], QN_AT(dk) + k0 + d, k_step, lanes);
    for (int e = 0; e < QN_E; e++) qn_turn_back(sum_v[e], QN_AT(dv) + v0 + e, v_step, lanes);
}
#endif
