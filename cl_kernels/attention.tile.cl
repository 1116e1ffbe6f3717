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
 * A launch begins with row (key) `first`. Local memory: at most 47 KB (the launcher's refusal knows
 * the sum). Meaning: QN_D, QN_E multiples of 4, at most 256. (Dao et al. 2022) */
#define QN_W 1
#include "attention_block.clh"

QN_KERNEL void attention_fwd(QN_OUT(QN_ELEM, o), QN_OUT(float, lse), QN_IN(QN_ELEM, q),
                             QN_IN(QN_KV_ELEM, k), QN_IN(QN_KV_ELEM, v), QN_IN(int, ranges),
                             QN_IN(int, slots), const float scale, const float cap, const int heads,
                             const int groups, const int rows, const int first)
{
    __local float4 query[QN_ROWS * QN_D_STEP], slice[QN_SLICE_SPACE];
    __local float4 scores[QN_ROWS * QN_SCORE_STEP];
    __local float largest[QN_ITEMS];
    __local int where[QN_CHUNK], range[4 * QN_ROWS];
    __local float *score = (__local float *)scores;
    const int head = (int)get_group_id(0), row0 = first + (int)get_group_id(1) * QN_ROWS;
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
                qn_products(s, query, QN_D4, slice, QN_AT(k) + group * QN_KV_SPAN(QN_D),
                            (ulong)groups * QN_KV_SPAN(QN_D), where + from);
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
            qn_gather(part, l_part, scores, QN_SCORE_STEP, QN_E4, slice,
                      QN_AT(v) + group * QN_KV_SPAN(QN_E), (ulong)groups * QN_KV_SPAN(QN_E), where,
                      keys);
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

#if QN_KV == QN_T
/* dq, and delta for the other kernel. */
QN_KERNEL void attention_dq(QN_OUT(QN_ELEM, dq), QN_OUT(float, delta), QN_IN(QN_ELEM, dout),
                            QN_IN(QN_ELEM, q), QN_IN(QN_ELEM, k), QN_IN(QN_ELEM, v),
                            QN_IN(int, ranges), QN_IN(QN_ELEM, o), QN_IN(float, lse),
                            const float scale, const float cap, const int heads, const int groups,
                            const int rows, const int first)
{
    __local float4 query[QN_ROWS * QN_D_STEP], grad[QN_ROWS * QN_E_STEP], slice[QN_SLICE_SPACE];
    __local float4 weights[QN_ROWS * QN_WEIGHT_STEP];
    __local float top[QN_ROWS], norm[QN_ROWS];
    __local int where[QN_BLOCK], range[4 * QN_ROWS];
    __local float *weight = (__local float *)weights;
    const int head = (int)get_group_id(0), row0 = first + (int)get_group_id(1) * QN_ROWS;
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
                             const int rows, const int first)
{
    __local float4 keys[QN_ROWS * QN_D_STEP], values[QN_ROWS * QN_E_STEP], slice[QN_SLICE_SPACE];
    __local float4 probs[QN_ROWS * QN_WEIGHT_STEP], weights[QN_ROWS * QN_WEIGHT_STEP];
    __local int where[QN_BLOCK], from[QN_BLOCK], to[QN_BLOCK], range[4 * QN_ROWS];
    __local float *prob = (__local float *)probs, *weight = (__local float *)weights;
    const int group = (int)get_group_id(0), key0 = first + (int)get_group_id(1) * QN_ROWS;
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
    const int begin = qn_least(range, 0, 1, use), last = -qn_least(range, 3, -1, use);
    for (int head = group * share; head < (group + 1) * share; head++)
        for (int start = begin; start < last; start += QN_BLOCK) {
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
#endif
