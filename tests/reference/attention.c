/* o[r][h] = sum_j p_j v_j, p = softmax of s_j = cap(scale q[r][h] . k_j) over the keys j in
 * [from, to) of row r; cap(t) = c tanh(t / c) where soft_cap c > 0, else t.
 * q [R, H, D], k [S, G, D], v [S, G, E]; head h reads key-value head h / (H / G). Key j lies in
 * row j, or slots[j]. An empty range gives zeros.
 * Backward: dv_j += p_j do, ds_j = p_j (do . v_j - do . o) cap', dq += scale ds_j k_j,
 * dk_j += scale ds_j q. */
#include "helpers.h"
#include "quantized.h"

struct head {
    int64_t from, to;   /* keys */
    int64_t q_at, o_at; /* first element of this row and head in q and o */
    double *weight;     /* p_j, at j - from */
    double *slope;      /* d s_j / d (q . k_j), at j - from */
};

static int64_t key_row(const ref_call *call, int64_t j)
{
    return call->in[4] ? (int64_t)call->in[4]->d[j] : j;
}

/* First element of key j (tensor k or v) as head h sees it. */
static int64_t key_at(const ref_call *call, const ref_tensor *t, int64_t h, int64_t j)
{
    int64_t group = h / (call->in[0]->dim[1] / t->dim[1]);
    return (key_row(call, j) * t->dim[1] + group) * t->dim[2];
}

/* The caller frees weight and slope. */
static struct head head_of(const ref_call *call, int64_t r, int64_t h)
{
    const ref_tensor *q = call->in[0], *k = call->in[1], *v = call->in[2], *ranges = call->in[3];
    int64_t heads = q->dim[1], size = q->dim[2];
    double scale = call->attr[0] != 0 ? call->attr[0] : 1 / sqrt((double)size), cap = call->attr[1];
    struct head head = {.from = (int64_t)ranges->d[r * 4 + 1],
                        .to = (int64_t)ranges->d[r * 4 + 2],
                        .q_at = (r * heads + h) * size,
                        .o_at = (r * heads + h) * v->dim[2]};
    head.weight = ref_doubles(head.to - head.from);
    head.slope = ref_doubles(head.to - head.from);
    double largest = -INFINITY, sum = 0;
    for (int64_t j = head.from; j < head.to; j++) {
        int64_t key = key_at(call, k, h, j);
        double score = 0, slope = scale;
        for (int64_t i = 0; i < size; i++) score += q->d[head.q_at + i] * ref_cached(k, key + i);
        score *= scale;
        if (cap > 0) {
            double t = tanh(score / cap);
            score = cap * t;
            slope *= 1 - t * t;
        }
        head.weight[j - head.from] = score;
        head.slope[j - head.from] = slope;
        if (score > largest) largest = score;
    }
    for (int64_t j = 0; j < head.to - head.from; j++) {
        head.weight[j] = exp(head.weight[j] - largest);
        sum += head.weight[j];
    }
    for (int64_t j = 0; j < head.to - head.from; j++) head.weight[j] /= sum;
    return head;
}

void ref_attention_fwd(const ref_call *call)
{
    const ref_tensor *q = call->in[0], *v = call->in[2];
    ref_tensor *o = call->out[0];
    ref_zero(o);
    for (int64_t r = 0; r < q->dim[0]; r++)
        for (int64_t h = 0; h < q->dim[1]; h++) {
            struct head head = head_of(call, r, h);
            for (int64_t j = head.from; j < head.to; j++)
                for (int64_t i = 0; i < v->dim[2]; i++)
                    o->d[head.o_at + i] +=
                        head.weight[j - head.from] * ref_cached(v, key_at(call, v, h, j) + i);
            free(head.weight);
            free(head.slope);
        }
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static void head_bwd(const ref_call *call, const struct head *head, int64_t h)
{
    const ref_tensor *q = call->in[0], *k = call->in[1], *v = call->in[2];
    ref_tensor *dq = call->din[0], *dk = call->din[1], *dv = call->din[2];
    const double *d = call->dout[0]->d + head->o_at;
    int64_t wide = v->dim[2];
    double mean = 0; /* do . o */
    for (int64_t j = head->from; j < head->to; j++)
        mean += head->weight[j - head->from] * dot(d, v->d + key_at(call, v, h, j), wide);
    for (int64_t j = head->from; j < head->to; j++) {
        int64_t k_at = key_at(call, k, h, j), v_at = key_at(call, v, h, j);
        double p = head->weight[j - head->from];
        double ds = p * (dot(d, v->d + v_at, wide) - mean) * head->slope[j - head->from];
        for (int64_t i = 0; dv && i < wide; i++) dv->d[v_at + i] += p * d[i];
        for (int64_t i = 0; i < q->dim[2]; i++) {
            if (dq) dq->d[head->q_at + i] += ds * k->d[k_at + i];
            if (dk) dk->d[k_at + i] += ds * q->d[head->q_at + i];
        }
    }
}

void ref_attention_bwd(const ref_call *call)
{
    const ref_tensor *q = call->in[0];
    for (int i = 0; i < 3; i++)
        if (call->din[i]) ref_zero(call->din[i]);
    if (!call->dout[0]) return;
    for (int64_t r = 0; r < q->dim[0]; r++)
        for (int64_t h = 0; h < q->dim[1]; h++) {
            struct head head = head_of(call, r, h);
            head_bwd(call, &head, h);
            free(head.weight);
            free(head.slope);
        }
}
