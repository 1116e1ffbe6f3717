/* pre = c + op(a) op(b) + bias, y = act(pre) + onto + onto2 + onto3: a [.., M, K], b [K, N] or [..,
 * K, N]. With g = dy act'(pre) + dpre: da = g op(b)^T, db = op(a)^T g (summed over the batches that
 * share b), dbias = sum of g over rows, dc = g. */
#include "helpers.h"

#include <stdbool.h>

struct product {
    int64_t batches, m, n, k;
    bool trans_a, trans_b, shared_b;
};

static struct product product_of(const ref_call *call)
{
    const ref_tensor *a = call->in[0], *b = call->in[1];
    struct product p = {.batches = ref_span(a, 0, a->rank - 2),
                        .trans_a = call->attr[0] != 0,
                        .trans_b = call->attr[1] != 0,
                        .shared_b = b->rank == 2};
    p.m = a->dim[p.trans_a ? a->rank - 1 : a->rank - 2];
    p.k = a->dim[p.trans_a ? a->rank - 2 : a->rank - 1];
    p.n = b->dim[p.trans_b ? b->rank - 2 : b->rank - 1];
    return p;
}

/* Where op(a)[batch][i][k], op(b)[batch][k][j] and y[batch][i][j] are stored. */
static int64_t at_a(struct product p, int64_t batch, int64_t i, int64_t k)
{
    return batch * p.m * p.k + (p.trans_a ? k * p.m + i : i * p.k + k);
}

static int64_t at_b(struct product p, int64_t batch, int64_t k, int64_t j)
{
    return (p.shared_b ? 0 : batch * p.k * p.n) + (p.trans_b ? j * p.k + k : k * p.n + j);
}

static int64_t at_y(struct product p, int64_t batch, int64_t i, int64_t j)
{
    return (batch * p.m + i) * p.n + j;
}

static double pre_at(const ref_call *call, struct product p, int64_t batch, int64_t i, int64_t j)
{
    const ref_tensor *a = call->in[0], *b = call->in[1], *bias = call->in[2], *c = call->in[3];
    double sum = c ? c->d[at_y(p, batch, i, j)] : 0;
    for (int64_t k = 0; k < p.k; k++)
        sum += a->d[at_a(p, batch, i, k)] * b->d[at_b(p, batch, k, j)];
    return sum + (bias ? bias->d[j] : 0);
}

void ref_matmul_fwd(const ref_call *call)
{
    struct product p = product_of(call);
    ref_tensor *y = call->out[0], *pre = call->out[1];
    for (int64_t batch = 0; batch < p.batches; batch++)
        for (int64_t i = 0; i < p.m; i++)
            for (int64_t j = 0; j < p.n; j++) {
                double value = pre_at(call, p, batch, i, j);
                if (pre) pre->d[at_y(p, batch, i, j)] = value;
                value = ref_act((int)call->attr[2], value);
                for (int o = 4; o < 7; o++)
                    if (call->in[o]) value += call->in[o]->d[at_y(p, batch, i, j)];
                if (y) y->d[at_y(p, batch, i, j)] = value;
            }
}

/* Adds what the gradient g of pre[batch][i][j] sends to each input. */
static void send_back(const ref_call *call, struct product p, const int64_t at[3], double g)
{
    const ref_tensor *a = call->in[0], *b = call->in[1];
    ref_tensor *da = call->din[0], *db = call->din[1], *dbias = call->din[2], *dc = call->din[3];
    int64_t batch = at[0], i = at[1], j = at[2];
    for (int64_t k = 0; k < p.k; k++) {
        int64_t from_a = at_a(p, batch, i, k), from_b = at_b(p, batch, k, j);
        if (da) da->d[from_a] += g * b->d[from_b];
        if (db) db->d[from_b] += g * a->d[from_a];
    }
    if (dbias) dbias->d[j] += g;
    if (dc) dc->d[at_y(p, batch, i, j)] += g;
}

void ref_matmul_bwd(const ref_call *call)
{
    struct product p = product_of(call);
    const ref_tensor *dy = call->dout[0], *dpre = call->dout[1];
    for (int i = 0; i < 4; i++)
        if (call->din[i]) ref_zero(call->din[i]);
    for (int64_t batch = 0; batch < p.batches; batch++)
        for (int64_t i = 0; i < p.m; i++)
            for (int64_t j = 0; j < p.n; j++) {
                int64_t y = at_y(p, batch, i, j), at[3] = {batch, i, j};
                double g = dpre ? dpre->d[y] : 0;
                if (dy) {
                    double value = pre_at(call, p, batch, i, j);
                    g += dy->d[y] * ref_act_slope((int)call->attr[2], value);
                }
                send_back(call, p, at, g);
            }
}
