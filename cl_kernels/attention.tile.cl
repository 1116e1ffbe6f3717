/* Attention for GPUs: a group of 128 items takes 16 rows of one head (for dk and dv: 16 keys of one
 * key-value head) and walks the keys (rows) in blocks. Two steps do all the work:
 *
 *   qn_products  16 x QN_BLOCK dot products, slices of 32 elements of the head through local
 * memory; item (pair, column) = (item / 16, item % 16) holds those of its two rows with the keys
 * column + 16 t qn_gather    16 weighted sums of rows of up to 256 elements, a few rows at a time
 * through local memory; the item holds the elements 4 column + 64 t .. + 4 of its two rows
 *
 * Forward, the scores of a chunk wait in local memory (16 KB), because its largest comes first.
 * Every sum is the chain of the plain kernel: masked keys weigh 0, and adding 0 changes nothing.
 * Loops that hold a barrier run equally often for all items of a group. See attention.clh.
 *
 * Local memory: at most 47 KB (the launcher's refusal knows the sum).
 * Meaning: QN_D, QN_E multiples of 4, at most 256. (Dao et al. 2022) */
#define QN_W 1
#include "attention.clh"

#if QN_D % 4 || QN_E % 4 || QN_D > 256 || QN_E > 256
#error "head sizes must be multiples of 4, at most 256"
#endif
#define QN_ITEMS 128
#define QN_ROWS 16
#define QN_SLICE 32
#define QN_BLOCK (QN_D + QN_E <= 256 ? 64 : 32)
#define QN_EACH_ITEM (QN_BLOCK / 16)
#define QN_SLICE_STEP (QN_SLICE / 4 + 1) /* in float4; one more than it holds, for the banks */
#define QN_SLICE_SPACE (64 * QN_SLICE_STEP)
#define QN_D4 (QN_D / 4)
#define QN_E4 (QN_E / 4)
#define QN_D_STEP (QN_D4 + 1)
#define QN_E_STEP (QN_E4 + 1)
#define QN_SCORE_STEP (QN_CHUNK / 4 + 1)
#define QN_WEIGHT_STEP (QN_BLOCK / 4 + 1)
#define QN_QUADS(n4) (((n4) + 15) / 16) /* float4 an item holds of a row */
#define QN_D_QUADS QN_QUADS(QN_D4)
#define QN_E_QUADS QN_QUADS(QN_E4)
/* Rows of n4 float4 that fit the slice: 8, 16, 32 or 64. */
#define QN_FIT(n4) ((n4) <= 8 ? 64 : (n4) <= 16 ? 32 : (n4) <= 32 ? 16 : 8)
#define QN_KERNEL __kernel __attribute__((reqd_work_group_size(QN_ITEMS, 1, 1)))
#define QN_ITEM ((int)get_local_id(0))
#define QN_PAIR (QN_ITEM / 16 * 2)
#define QN_COLUMN (QN_ITEM % 16)

/* Four elements of type QN_T. */
inline float4 qn_get4(__global const QN_ELEM *p)
{
#if QN_T == 0
    return qn_load4(p);
#else
    const ushort4 bits =
        ((uintptr_t)p & 7) == 0 ? *(__global const ushort4 *)p : (ushort4)(p[0], p[1], p[2], p[3]);
#if QN_T == 2
    return as_float4(convert_uint4(bits) << 16);
#else
    return (float4)(qn_f16_value(bits.x), qn_f16_value(bits.y), qn_f16_value(bits.z),
                    qn_f16_value(bits.w));
#endif
#endif
}

inline void qn_put4(const float4 v, __global QN_ELEM *p)
{
#if QN_T == 0
    qn_store4(v, p);
#else
    QN_PUT(v.x, p);
    QN_PUT(v.y, p + 1);
    QN_PUT(v.z, p + 2);
    QN_PUT(v.w, p + 3);
#endif
}

/* Elements from .. from + 4 quads of `rows` rows of x into `to`; where[r] < 0: zeros. All items. */
inline void qn_fill(__local float4 *to, const int step, __global const QN_ELEM *x,
                    const ulong stride, __local const int *where, const int rows, const int from,
                    const int quads)
{
    barrier(CLK_LOCAL_MEM_FENCE); /* `to` has been read, `where` written */
    for (int i = QN_ITEM; i < rows * quads; i += QN_ITEMS) {
        const int r = i / quads, c = i % quads;
        to[r * step + c] =
            where[r] < 0 ? (float4)(0.0f) : qn_get4(x + (ulong)where[r] * stride + from + 4 * c);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

/* 16 rows that stay: row r of x, zeros from row `count` on. The next barrier is the caller's. */
inline void qn_hold(__local float4 *to, const int n4, __global const QN_ELEM *x, const ulong stride,
                    const int count)
{
    for (int i = QN_ITEM; i < QN_ROWS * n4; i += QN_ITEMS) {
        const int r = i / n4, c = i % n4;
        to[r * (n4 + 1) + c] = r < count ? qn_get4(x + r * stride + 4 * c) : (float4)(0.0f);
    }
}

inline float qn_chain4(const float4 a, const float4 b, float sum)
{
    sum = QN_FMA(a.x, b.x, sum);
    sum = QN_FMA(a.y, b.y, sum);
    sum = QN_FMA(a.z, b.z, sum);
    return QN_FMA(a.w, b.w, sum);
}

/* s[t], s[QN_EACH_ITEM + t]: the item's two rows of `held` with row column + 16 t of the block. */
inline void qn_products(float *s, __local const float4 *held, const int n4, __local float4 *slice,
                        __global const QN_ELEM *x, const ulong stride, __local const int *where)
{
    QN_UNROLL for (int t = 0; t < 2 * QN_EACH_ITEM; t++) s[t] = 0.0f;
    for (int from = 0; from < n4; from += QN_SLICE / 4) {
        const int quads = min(QN_SLICE / 4, n4 - from);
        __local const float4 *a = held + QN_PAIR * (n4 + 1) + from;
        qn_fill(slice, QN_SLICE_STEP, x, stride, where, QN_BLOCK, 4 * from, quads);
        for (int c = 0; c < quads; c++) {
            const float4 a0 = a[c], a1 = a[n4 + 1 + c];
            QN_UNROLL for (int t = 0; t < QN_EACH_ITEM; t++)
            {
                const float4 b = slice[(QN_COLUMN + 16 * t) * QN_SLICE_STEP + c];
                s[t] = qn_chain4(a0, b, s[t]);
                s[QN_EACH_ITEM + t] = qn_chain4(a1, b, s[QN_EACH_ITEM + t]);
            }
        }
    }
}

/* sum[t], sum[quads + t] += over the rows j < count of the block: weight (of the item's two rows) *
 * x[where[j]], j ascending; weights and rows up to the next multiple of 4 are 0. total, if wanted,
 * adds the weights alone. */
inline void qn_gather(float4 *sum, float *total, __local const float4 *weight, const int step,
                      const int n4, __local float4 *slice, __global const QN_ELEM *x,
                      const ulong stride, __local const int *where, const int count)
{
    const int fit = QN_FIT(n4), quads = QN_QUADS(n4);
    for (int from = 0; from < count; from += fit) {
        qn_fill(slice, n4, x, stride, where + from, fit, 0, n4);
        for (int j = 0; j < min(fit, count - from); j += 4) {
            const float4 w0 = weight[QN_PAIR * step + (from + j) / 4];
            const float4 w1 = weight[(QN_PAIR + 1) * step + (from + j) / 4];
            total[0] = total[0] + w0.x + w0.y + w0.z + w0.w;
            total[1] = total[1] + w1.x + w1.y + w1.z + w1.w;
            QN_UNROLL for (int t = 0; t < quads; t++)
            {
                const int c = QN_COLUMN + 16 * t;
                __local const float4 *v = slice + j * n4 + min(c, n4 - 1);
                float4 a = sum[t], b = sum[quads + t];
                a = QN_FMA((float4)(w0.x), v[0], a);
                b = QN_FMA((float4)(w1.x), v[0], b);
                a = QN_FMA((float4)(w0.y), v[n4], a);
                b = QN_FMA((float4)(w1.y), v[n4], b);
                a = QN_FMA((float4)(w0.z), v[2 * n4], a);
                b = QN_FMA((float4)(w1.z), v[2 * n4], b);
                sum[t] = QN_FMA((float4)(w0.w), v[3 * n4], a);
                sum[quads + t] = QN_FMA((float4)(w1.w), v[3 * n4], b);
            }
        }
    }
}

/* The item's two rows of sums, times a factor each, to rows of x. */
inline void qn_put(const float4 *sum, const float f0, const float f1, const int n4,
                   __global QN_ELEM *x, const ulong stride, const int count)
{
    x += QN_PAIR * stride;
    QN_UNROLL for (int t = 0; t < QN_QUADS(n4); t++)
    {
        const int c = QN_COLUMN + 16 * t;
        const float4 a = sum[t] * f0, b = sum[QN_QUADS(n4) + t] * f1;
        if (QN_PAIR < count && c < n4) qn_put4(a, x + 4 * c);
        if (QN_PAIR + 1 < count && c < n4) qn_put4(b, x + stride + 4 * c);
    }
}

/* range[4 r + i]: of row r, zeros from row `count` on: an empty range. */
inline void qn_hold_ranges(__local int *range, __global const int *ranges, const int count)
{
    if (QN_ITEM < 4 * QN_ROWS) range[QN_ITEM] = QN_ITEM < 4 * count ? ranges[QN_ITEM] : 0;
}

inline bool qn_shown(__local const int *range, const int row, const int key)
{
    return key >= range[4 * row + 1] && key < range[4 * row + 2];
}

/* Of the rows in the mask: the least (sign 1) or the negated largest (sign -1) of range[4 r + i].
 */
inline int qn_least(__local const int *range, const int i, const int sign, const uint mask)
{
    int least = INT_MAX;
    for (int r = 0; r < QN_ROWS; r++)
        if (mask >> r & 1) least = min(least, sign * range[4 * r + i]);
    return least;
}

inline uint qn_rows_at(__local const int *range, const uint mask, const int base)
{
    uint rows = 0;
    for (int r = 0; r < QN_ROWS; r++)
        if ((mask >> r & 1) && range[4 * r] == base) rows |= 1u << r;
    return rows;
}

inline uint qn_rows_with_keys(__local const int *range)
{
    uint rows = 0;
    for (int r = 0; r < QN_ROWS; r++)
        if (range[4 * r + 1] < range[4 * r + 2]) rows |= 1u << r;
    return rows;
}

QN_KERNEL void attention_fwd(QN_OUT(QN_ELEM, o), QN_OUT(float, lse), QN_IN(QN_ELEM, q),
                             QN_IN(QN_ELEM, k), QN_IN(QN_ELEM, v), QN_IN(int, ranges),
                             QN_IN(int, slots), const float scale, const float cap, const int heads,
                             const int groups, const int rows)
{
    __local float4 query[QN_ROWS * QN_D_STEP], slice[QN_SLICE_SPACE];
    __local float4 scores[QN_ROWS * QN_SCORE_STEP];
    __local float largest[QN_ITEMS];
    __local int where[QN_CHUNK], range[4 * QN_ROWS];
    __local float *score = (__local float *)scores;
    const int head = (int)get_group_id(0), row0 = (int)get_group_id(1) * QN_ROWS;
    const int group = head / (heads / groups), count = min(QN_ROWS, rows - row0);
    const ulong first_row = (ulong)row0 * heads + head;
    qn_hold(query, QN_D4, QN_AT(q) + first_row * QN_D, (ulong)heads * QN_D, count);
    qn_hold_ranges(range, QN_AT(ranges) + (ulong)row0 * 4, count);
    barrier(CLK_LOCAL_MEM_FENCE);
    float4 out[2 * QN_E_QUADS], part[2 * QN_E_QUADS];
    float m[2] = {-INFINITY, -INFINITY}, l[2] = {0.0f, 0.0f};
    QN_UNROLL for (int t = 0; t < 2 * QN_E_QUADS; t++) out[t] = (float4)(0.0f);
    for (uint todo = qn_rows_with_keys(range); todo != 0;) { /* rows of one sequence at a time */
        const int base = qn_least(range, 0, 1, todo);
        const uint mine = qn_rows_at(range, todo, base);
        const int last = -qn_least(range, 2, -1, mine);
        todo &= ~mine;
        for (int start = qn_least(range, 1, 1, mine), keys; start < last; start += keys) {
            keys = min(last, base + ((start - base) / QN_CHUNK + 1) * QN_CHUNK) - start;
            for (int j = QN_ITEM; j < QN_CHUNK; j += QN_ITEMS)
                where[j] = j < keys ? qn_key_row(QN_AT(slots), start + j) : -1;
            for (int from = 0; from < keys; from += QN_BLOCK) {
                float s[2 * QN_EACH_ITEM];
                qn_products(s, query, QN_D4, slice, QN_AT(k) + group * QN_D, (ulong)groups * QN_D,
                            where + from);
                QN_UNROLL for (int t = 0; t < 2 * QN_EACH_ITEM; t++)
                {
                    const int row = QN_PAIR + t / QN_EACH_ITEM;
                    const int j = from + QN_COLUMN + 16 * (t % QN_EACH_ITEM);
                    const bool shown =
                        (mine >> row & 1) && j < keys && qn_shown(range, row, start + j);
                    score[row * 4 * QN_SCORE_STEP + j] =
                        shown ? qn_cap(s[t] * scale, cap) : -INFINITY;
                }
            }
            barrier(CLK_LOCAL_MEM_FENCE);
            const int row = QN_ITEM / 8; /* now 8 items a row */
            __local float *line = score + row * 4 * QN_SCORE_STEP;
            float x = -INFINITY;
            for (int j = QN_ITEM % 8; j < keys; j += 8) x = fmax(x, line[j]);
            largest[QN_ITEM] = x;
            barrier(CLK_LOCAL_MEM_FENCE);
            x = -INFINITY;
            for (int i = 0; i < 8; i++) x = fmax(x, largest[row * 8 + i]);
            for (int j = QN_ITEM % 8; j < (keys + 3) / 4 * 4; j += 8)
                line[j] = qn_exp(line[j] - qn_seen(x));
            QN_UNROLL for (int t = 0; t < 2 * QN_E_QUADS; t++) part[t] = (float4)(0.0f);
            float l_part[2] = {0.0f, 0.0f};
            qn_gather(part, l_part, scores, QN_SCORE_STEP, QN_E4, slice, QN_AT(v) + group * QN_E,
                      (ulong)groups * QN_E, where, keys);
            QN_UNROLL for (int r = 0; r < 2; r++)
            {
                float m_part = -INFINITY;
                for (int i = 0; i < 8; i++) m_part = fmax(m_part, largest[(QN_PAIR + r) * 8 + i]);
                const float m_new = fmax(m[r], m_part), seen = qn_seen(m_new);
                const float keep = qn_exp(m[r] - seen), add = qn_exp(m_part - seen);
                l[r] = QN_FMA(l[r], keep, l_part[r] * add);
                QN_UNROLL for (int t = 0; t < QN_E_QUADS; t++)
                {
                    const float4 more = part[r * QN_E_QUADS + t] * add;
                    out[r * QN_E_QUADS + t] = QN_FMA(out[r * QN_E_QUADS + t], (float4)(keep), more);
                }
                m[r] = m_new;
            }
        }
    }
    float share[2];
    QN_UNROLL for (int r = 0; r < 2; r++)
    {
        const bool some = l[r] > 0.0f || isnan(l[r]);
        share[r] = some ? 1.0f / l[r] : 0.0f;
        if (QN_COLUMN == 0 && QN_PAIR + r < count) QN_AT(lse)
        [first_row + (ulong)(QN_PAIR + r) * heads] = some ? m[r] + qn_log(l[r]) : -INFINITY;
    }
    qn_put(out, share[0], share[1], QN_E4, QN_AT(o) + first_row * QN_E, (ulong)heads * QN_E, count);
}

/* dq, and delta for the other kernel. */
QN_KERNEL void attention_dq(QN_OUT(QN_ELEM, dq), QN_OUT(float, delta), QN_IN(QN_ELEM, dout),
                            QN_IN(QN_ELEM, q), QN_IN(QN_ELEM, k), QN_IN(QN_ELEM, v),
                            QN_IN(int, ranges), QN_IN(QN_ELEM, o), QN_IN(float, lse),
                            const float scale, const float cap, const int heads, const int groups,
                            const int rows)
{
    __local float4 query[QN_ROWS * QN_D_STEP], grad[QN_ROWS * QN_E_STEP], slice[QN_SLICE_SPACE];
    __local float4 weights[QN_ROWS * QN_WEIGHT_STEP];
    __local float top[QN_ROWS], norm[QN_ROWS];
    __local int where[QN_BLOCK], range[4 * QN_ROWS];
    __local float *weight = (__local float *)weights;
    const int head = (int)get_group_id(0), row0 = (int)get_group_id(1) * QN_ROWS;
    const int group = head / (heads / groups), count = min(QN_ROWS, rows - row0);
    const ulong first_row = (ulong)row0 * heads + head;
    qn_hold(query, QN_D4, QN_AT(q) + first_row * QN_D, (ulong)heads * QN_D, count);
    qn_hold(grad, QN_E4, QN_AT(dout) + first_row * QN_E, (ulong)heads * QN_E, count);
    qn_hold_ranges(range, QN_AT(ranges) + (ulong)row0 * 4, count);
    barrier(CLK_LOCAL_MEM_FENCE);
    if (QN_ITEM < count) {
        const ulong at = first_row + (ulong)QN_ITEM * heads;
        float sum = 0.0f;
        for (int e = 0; e < QN_E4; e++)
            sum = qn_chain4(grad[QN_ITEM * QN_E_STEP + e], qn_get4(QN_AT(o) + at * QN_E + 4 * e),
                            sum);
        top[QN_ITEM] = sum;
        norm[QN_ITEM] = QN_AT(lse)[at];
        QN_AT(delta)[at] = sum;
    }
    float4 sum[2 * QN_D_QUADS];
    float total[2] = {0.0f, 0.0f};
    QN_UNROLL for (int t = 0; t < 2 * QN_D_QUADS; t++) sum[t] = (float4)(0.0f);
    const uint use = qn_rows_with_keys(range);
    const int last = -qn_least(range, 2, -1, use);
    for (int start = qn_least(range, 1, 1, use); start < last && use != 0; start += QN_BLOCK) {
        const int keys = min(QN_BLOCK, last - start);
        float s[2 * QN_EACH_ITEM], dp[2 * QN_EACH_ITEM];
        if (QN_ITEM < QN_BLOCK) where[QN_ITEM] = QN_ITEM < keys ? start + QN_ITEM : -1;
        qn_products(s, query, QN_D4, slice, QN_AT(k) + group * QN_D, (ulong)groups * QN_D, where);
        qn_products(dp, grad, QN_E4, slice, QN_AT(v) + group * QN_E, (ulong)groups * QN_E, where);
        QN_UNROLL for (int t = 0; t < 2 * QN_EACH_ITEM; t++)
        {
            const int row = QN_PAIR + t / QN_EACH_ITEM;
            const int j = QN_COLUMN + 16 * (t % QN_EACH_ITEM);
            float ds = 0.0f;
            if (j < keys && qn_shown(range, row, start + j)) {
                const float x = qn_cap(s[t] * scale, cap);
                ds = qn_exp(x - norm[row]) * (dp[t] - top[row]) * qn_cap_slope(x, cap) * scale;
            }
            weight[row * 4 * QN_WEIGHT_STEP + j] = ds;
        }
        qn_gather(sum, total, weights, QN_WEIGHT_STEP, QN_D4, slice, QN_AT(k) + group * QN_D,
                  (ulong)groups * QN_D, where, keys);
    }
    qn_put(sum, 1.0f, 1.0f, QN_D4, QN_AT(dq) + first_row * QN_D, (ulong)heads * QN_D, count);
}

/* The same with keys and rows exchanged: 16 keys stay, rows of all heads of the group go by. */
QN_KERNEL void attention_dkv(QN_OUT(QN_ELEM, dk), QN_OUT(QN_ELEM, dv), QN_IN(float, delta),
                             QN_IN(QN_ELEM, dout), QN_IN(QN_ELEM, q), QN_IN(QN_ELEM, k),
                             QN_IN(QN_ELEM, v), QN_IN(int, ranges), QN_IN(float, lse),
                             const float scale, const float cap, const int heads, const int groups,
                             const int rows)
{
    __local float4 keys[QN_ROWS * QN_D_STEP], values[QN_ROWS * QN_E_STEP], slice[QN_SLICE_SPACE];
    __local float4 probs[QN_ROWS * QN_WEIGHT_STEP], weights[QN_ROWS * QN_WEIGHT_STEP];
    __local int where[QN_BLOCK], from[QN_BLOCK], to[QN_BLOCK], range[4 * QN_ROWS];
    __local float *prob = (__local float *)probs, *weight = (__local float *)weights;
    const int group = (int)get_group_id(0), key0 = (int)get_group_id(1) * QN_ROWS;
    const int share = heads / groups, count = min(QN_ROWS, rows - key0);
    const ulong first_key = (ulong)key0 * groups + group;
    qn_hold(keys, QN_D4, QN_AT(k) + first_key * QN_D, (ulong)groups * QN_D, count);
    qn_hold(values, QN_E4, QN_AT(v) + first_key * QN_E, (ulong)groups * QN_E, count);
    qn_hold_ranges(range, QN_AT(ranges) + (ulong)key0 * 4, count);
    barrier(CLK_LOCAL_MEM_FENCE);
    float4 sum_k[2 * QN_D_QUADS], sum_v[2 * QN_E_QUADS];
    float total[2] = {0.0f, 0.0f};
    QN_UNROLL for (int t = 0; t < 2 * QN_D_QUADS; t++) sum_k[t] = (float4)(0.0f);
    QN_UNROLL for (int t = 0; t < 2 * QN_E_QUADS; t++) sum_v[t] = (float4)(0.0f);
    const uint use = (1u << count) - 1;
    const int first = qn_least(range, 0, 1, use), last = -qn_least(range, 3, -1, use);
    for (int head = group * share; head < (group + 1) * share; head++)
        for (int start = first; start < last; start += QN_BLOCK) {
            const int item = QN_ITEM, row = start + item;
            barrier(CLK_LOCAL_MEM_FENCE); /* where, from and to have been read */
            if (item < QN_BLOCK) {
                from[item] = row < last ? (QN_AT(ranges) + (ulong)row * 4)[1] : 0;
                to[item] = row < last ? (QN_AT(ranges) + (ulong)row * 4)[2] : 0;
                where[item] = from[item] < key0 + count && to[item] > key0 ? row : -1;
            }
            barrier(CLK_LOCAL_MEM_FENCE);
            int seen = -1;
            for (int j = 0; j < QN_BLOCK; j++) seen = max(seen, where[j]);
            /* 0 or 1 times, all items alike: a block of rows that see none of these keys is over */
            for (int rounds = seen >= 0 ? 1 : 0; rounds > 0; rounds--) {
                float s[2 * QN_EACH_ITEM], dp[2 * QN_EACH_ITEM];
                qn_products(s, keys, QN_D4, slice, QN_AT(q) + head * QN_D, (ulong)heads * QN_D,
                            where);
                qn_products(dp, values, QN_E4, slice, QN_AT(dout) + head * QN_E,
                            (ulong)heads * QN_E, where);
                QN_UNROLL for (int t = 0; t < 2 * QN_EACH_ITEM; t++)
                {
                    const int key = QN_PAIR + t / QN_EACH_ITEM;
                    const int j = QN_COLUMN + 16 * (t % QN_EACH_ITEM);
                    float p = 0.0f, ds = 0.0f;
                    if (key < count && key0 + key >= from[j] && key0 + key < to[j]) {
                        const ulong at = (ulong)(start + j) * heads + head;
                        const float x = qn_cap(s[t] * scale, cap);
                        p = qn_exp(x - QN_AT(lse)[at]);
                        ds = p * (dp[t] - QN_AT(delta)[at]) * qn_cap_slope(x, cap) * scale;
                    }
                    prob[key * 4 * QN_WEIGHT_STEP + j] = p;
                    weight[key * 4 * QN_WEIGHT_STEP + j] = ds;
                }
                qn_gather(sum_v, total, probs, QN_WEIGHT_STEP, QN_E4, slice,
                          QN_AT(dout) + head * QN_E, (ulong)heads * QN_E, where, QN_BLOCK);
                qn_gather(sum_k, total, weights, QN_WEIGHT_STEP, QN_D4, slice,
                          QN_AT(q) + head * QN_D, (ulong)heads * QN_D, where, QN_BLOCK);
            }
        }
    qn_put(sum_k, 1.0f, 1.0f, QN_D4, QN_AT(dk) + first_key * QN_D, (ulong)groups * QN_D, count);
    qn_put(sum_v, 1.0f, 1.0f, QN_E4, QN_AT(dv) + first_key * QN_E, (ulong)groups * QN_E, count);
}
