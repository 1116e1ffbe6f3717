#include "model/network.h"

#include "base/check.h"
#include "base/rng.h"
#include "graph/graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the store holds ---- */

bool qn__network_is_random(const qn_network *n)
{
    return n->dropout > 0 || (n->lora && n->lora->rank > 0 && n->lora->dropout > 0);
}

qn_status qn__network_inputs(qn_store *store, const qn_network *network, int64_t rows)
{
    const struct {
        const char *ending;
        bool there;
        int64_t dims[2];
        int rank;
    } table[] = {{"ids", true, {rows}, 1},
                 {"pos", true, {rows}, 1},
                 {"ranges", true, {rows, 4}, 2},
                 {"window", qn__has_window(network->config), {rows, 4}, 2},
                 {"index", network->cached, {rows}, 1},
                 {"rng", qn__network_is_random(network), {4}, 1}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char name[64];
        qn_shape shape = {.rank = table[i].rank, .dim = {table[i].dims[0], table[i].dims[1]}};
        if (!table[i].there) continue;
        snprintf(name, sizeof name, "%s.%s", network->prefix, table[i].ending);
        QN_TRY(qn_store_add(store, "inputs", name, QN_I32, &shape));
    }
    return QN_OK;
}

static qn_desc desc_of_rank(void *user, const qn_weight *weight)
{
    return (qn_desc){.dtype = weight->shape.rank == 2 ? *(qn_dtype *)user : QN_F32,
                     .layout = QN_ROWS,
                     .shape = weight->shape};
}

qn_status qn__weights_declare(qn_store *store, const qn_model_config *config, qn_dtype matrices)
{
    return qn__weights_declare_each(store, config, desc_of_rank, &matrices);
}

qn_status qn__weights_declare_each(qn_store *store, const qn_model_config *config,
                                   qn_desc (*desc)(void *user, const qn_weight *weight), void *user)
{
    qn_weight weight;
    for (int cursor = 0; qn__weight_next(config, &cursor, &weight);) {
        qn_desc one = desc(user, &weight);
        QN_TRY(qn__store_add_desc(store, "weights", weight.name, &one));
    }
    if (qn__arch(config->arch)->learned_positions) return QN_OK;
    qn_shape shape = {.rank = 3, .dim = {config->context, qn__head_size(config) / 2, 2}};
    return qn_store_add(store, "tables", "rope", QN_F32, &shape);
}

const char *qn__copy_name(const qn_store *store, const char *name, qn_dtype type, char *text,
                          size_t bytes)
{
    snprintf(text, bytes, "%s.%s", name, qn_dtype_name(type));
    return qn__store_index(store, text) >= 0 ? text : NULL;
}

qn_status qn__copies_declare(qn_store *store, const qn_model_config *config, const qn_lora *lora,
                             qn_dtype type)
{
    char name[160], packer[32];
    qn_weight weight;
    if (type == QN_F32) return QN_OK;
    snprintf(packer, sizeof packer, "cast to=%s", qn_dtype_name(type));
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && (!lora || lora->rank == 0)) break;
        for (int cursor = 0; pass ? qn__trainable_next(config, lora, &cursor, &weight)
                                  : qn__weight_next(config, &cursor, &weight);) {
            bool looked_up =
                weight.role == QN_POSITIONS || (weight.role == QN_TOKENS && !config->tied);
            if (weight.shape.rank != 2 || looked_up) continue;
            int master = qn__store_index(store, weight.name);
            if (master >= 0 && store->tensors[master].desc.dtype == type) continue;
            (void)qn__copy_name(store, weight.name, type, name, sizeof name);
            QN_TRY(qn__store_derive(store, name, weight.name, packer));
        }
    }
    return QN_OK;
}

/* Two normals from each pair of uniforms; element i is the same however many there are. */
static void fill_normal(float *values, int64_t count, double deviation, uint64_t seed,
                        uint64_t stream)
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int64_t i = 0; i < count; i += 4) {
        uint32_t counter[4] = {(uint32_t)(i / 4), (uint32_t)(i / 4 >> 32), (uint32_t)stream,
                               0x696E6974u},
                 word[4];
        qn__philox(counter, key, word);
        for (int pair = 0; pair < 2; pair++) {
            double u = ((double)word[pair * 2] + 0.5) * 0x1p-32,
                   r = deviation * sqrt(-2.0 * log(u));
            double angle = 6.283185307179586 * (double)word[pair * 2 + 1] * 0x1p-32;
            if (i + pair * 2 < count) values[i + pair * 2] = (float)(r * cos(angle));
            if (i + pair * 2 + 1 < count) values[i + pair * 2 + 1] = (float)(r * sin(angle));
        }
    }
}

qn_status qn__weights_init(qn_store *store, const qn_model_config *config, uint64_t seed)
{
    qn_weight weight;
    uint64_t stream = 0;
    for (int cursor = 0; qn__weight_next(config, &cursor, &weight); stream++) {
        int64_t count = qn_shape_elements(&weight.shape);
        float *values = malloc((size_t)count * sizeof *values);
        if (!values) return qn__fail(QN_OS_ERROR, "no memory for %lld numbers", (long long)count);
        double deviation = weight.role == QN_O || weight.role == QN_DOWN
                               ? 0.02 / sqrt(2.0 * config->layers)
                               : 0.02;
        if (weight.decay) fill_normal(values, count, deviation, seed, stream);
        else
            for (int64_t i = 0; i < count; i++) values[i] = qn__is_norm(weight.role) ? 1.0f : 0.0f;
        qn_status status = qn__store_write_floats(store, weight.name, values, count);
        free(values);
        QN_TRY(status);
    }
    return QN_OK;
}

void qn__causal_ranges(int32_t *ranges, int32_t *positions, int sequences, int length)
{
    for (int s = 0; s < sequences; s++)
        for (int t = 0; t < length; t++) {
            int row = s * length + t;
            positions[row] = t;
            ranges[row * 4] = ranges[row * 4 + 1] = s * length;
            ranges[row * 4 + 2] = row + 1;
            ranges[row * 4 + 3] = (s + 1) * length;
        }
}

void qn__document_ranges(int32_t *ranges, const int32_t *positions, int rows)
{
    for (int base = 0, end; base < rows; base = end) {
        end = base + 1;
        while (end < rows && positions[end] != 0) end++;
        for (int row = base; row < end; row++) {
            ranges[row * 4] = ranges[row * 4 + 1] = base;
            ranges[row * 4 + 2] = row + 1;
            ranges[row * 4 + 3] = end;
        }
    }
}

void qn__window_ranges(const qn_model_config *config, const int32_t *ranges, size_t rows,
                       int32_t *near)
{
    memcpy(near, ranges, rows * 4 * sizeof *near);
    for (size_t r = 0; r < rows; r++) {
        int32_t first = config->window > 0 ? near[r * 4 + 2] - config->window : 0;
        if (first > near[r * 4 + 1]) near[r * 4 + 1] = first;
    }
}

static qn_status write_rows(qn_store *store, const char *prefix, const char *ending,
                            const int32_t *values, size_t count)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", prefix, ending);
    return qn__store_write_part(store, qn__store_index(store, name), 0, values,
                                count * sizeof *values);
}

qn_status qn__network_write_ranges(qn_store *store, const qn_model_config *config,
                                   const char *prefix, const int32_t *ranges, size_t rows)
{
    QN_TRY(write_rows(store, prefix, "ranges", ranges, rows * 4));
    if (!qn__has_window(config)) return QN_OK;
    int32_t *near = malloc(rows * 4 * sizeof *near + 1);
    if (!near) return qn__fail(QN_OS_ERROR, "out of memory");
    qn__window_ranges(config, ranges, rows, near);
    qn_status status = write_rows(store, prefix, "window", near, rows * 4);
    free(near);
    return status;
}

/* ---- the graph ---- */

static qn_tensor *input(qn_network *n, const char *ending)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", n->prefix, ending);
    return n->rows && strcmp(ending, "rng") != 0 ? qn_graph_rows(n->graph, name)
                                                 : qn_graph_input(n->graph, name);
}

/* The name of what is computed with: the copy, where there is one. */
static const char *as_read(const qn_network *n, const char *name, char *copy, size_t bytes)
{
    const char *found = qn__copy_name(qn__graph_store(n->graph), name, n->type, copy, bytes);
    return found ? found : name;
}

/* A tensor that is trained, noted as a use. */
static qn_tensor *trained(qn_network *n, const char *name)
{
    char copy[160];
    qn_tensor *tensor = qn_graph_weight(n->graph, as_read(n, name, copy, sizeof copy));
    if (n->use_count == n->use_capacity) {
        int capacity = n->use_capacity ? n->use_capacity * 2 : 64;
        struct qn_use *more = realloc(n->uses, (size_t)capacity * sizeof *more);
        if (!more) return QN_NONE; /* the op then misses an input and says so */
        n->uses = more;
        n->use_capacity = capacity;
    }
    if (!tensor) return tensor;
    int index = qn__store_index(qn__graph_store(n->graph), name);
    bool again = false;
    for (int i = 0; i < n->use_count; i++) again |= n->uses[i].store == index;
    if (n->sums) {
        char sum[160];
        snprintf(sum, sizeof sum, "%s.%s", n->sums[again], name);
        const qn_tensor *stored = qn_graph_input(n->graph, sum);
        if (!stored) return QN_NONE;
        tensor->carry = stored->id;
    }
    n->uses[n->use_count++] = (struct qn_use){index, tensor, again};
    return tensor;
}

/* Handle of a weight; NULL (QN_NONE) where the model has none. Beside adapters it is not trained.
 */
static qn_tensor *weight(qn_network *n, qn_role role, int layer)
{
    qn_weight found;
    char copy[160];
    if (!qn__weight_at(n->config, role, layer, &found)) return QN_NONE;
    if (!n->lora || n->lora->rank == 0) return trained(n, found.name);
    return qn_graph_input(n->graph, as_read(n, found.name, copy, sizeof copy));
}

/* Dropout with its own stream; the identity where there is none. */
static qn_tensor *dropout(qn_network *n, qn_tensor *x, float p, int stream)
{
    char line[64];
    if (p <= 0) return x;
    snprintf(line, sizeof line, "dropout p=%.9g stream=%d", (double)p, stream);
    return qn_apply(n->graph, line, x, n->rng);
}

/* y + scale B A dropout(x); streams of dropout follow those of the blocks. */
static qn_tensor *adapted(qn_network *n, qn_tensor *x, qn_tensor *y, qn_role role, int layer)
{
    qn_weight base, a, b;
    char line[64];
    if (!qn__lora_has(n->lora, role) || !qn__weight_at(n->config, role, layer, &base)) return y;
    qn__lora_pair(n->config, n->lora, &base, &a, &b);
    int stream = 2 * n->config->layers + 1 + layer * QN_ROLE_COUNT + (int)role;
    qn_tensor *h = dropout(n, x, n->lora->dropout, stream);
    h = qn_apply(n->graph, "matmul trans_b=1", h, trained(n, a.name));
    snprintf(line, sizeof line, "scale factor=%.9g", (double)qn__lora_scale(n->lora));
    h = qn_apply(n->graph, line, h);
    if (n->type == QN_F32)
        return qn_apply(n->graph, "matmul trans_b=1", h, trained(n, b.name), QN_NONE, y);
    return qn_apply(n->graph, "add", y,
                    qn_apply(n->graph, "matmul trans_b=1", h, trained(n, b.name)));
}

/* Does the store hold it in blocks? */
static bool is_quantized(const qn_network *n, const qn_tensor *w)
{
    const qn_store *store = qn__graph_store(n->graph);
    return w && w->store >= 0 && qn_dtype_is_block(store->tensors[w->store].desc.dtype);
}

/* x as products with quantized matrices read it; made once for all that read the same x. */
static qn_tensor *quantized(qn_network *n, qn_tensor *x)
{
    if (!n->quantized_of || n->quantized_of != x) n->quantized = qn_apply(n->graph, "quantize", x);
    n->quantized_of = x;
    return n->quantized;
}

static qn_tensor *linear(qn_network *n, qn_tensor *x, qn_role role, qn_role bias, int layer)
{
    qn_tensor *w = weight(n, role, layer);
    if (is_quantized(n, w))
        return adapted(n, x,
                       qn_apply(n->graph, "qmatmul", quantized(n, x), w, weight(n, bias, layer)),
                       role, layer);
    bool in_out = qn__arch(n->config->arch)->in_out;
    const char *product = in_out ? "matmul" : "matmul trans_b=1";
    if (n->type != QN_F32) /* the bias is added in f32 */
        return adapted(n, x, qn_apply(n->graph, product, x, w, weight(n, bias, layer)), role,
                       layer);
    qn_tensor *y = qn_apply(n->graph, product, x, w);
    qn_tensor *b = weight(n, bias, layer);
    return adapted(n, x, b ? qn_apply(n->graph, "add", y, b) : y, role, layer);
}

static qn_tensor *norm(qn_network *n, qn_tensor *x, qn_role role, qn_role bias, int layer)
{
    char line[64];
    bool layer_norm = qn__arch(n->config->arch)->layer_norm;
    snprintf(line, sizeof line, "%s eps=%.9g", layer_norm ? "layer_norm" : "rms_norm",
             (double)n->config->norm_eps);
    qn_tensor *gamma = weight(n, role, layer);
    if (!layer_norm) return qn_apply(n->graph, line, x, gamma);
    return qn_apply(n->graph, line, x, gamma, weight(n, bias, layer));
}

static qn_tensor *heads(qn_network *n, qn_tensor *x, int64_t count)
{
    if (!x) return NULL;
    qn_shape shape = {.rank = 3,
                      .dim = {qn_tensor_shape(x)->dim[0], count, qn__head_size(n->config)}};
    return qn_graph_reshape(n->graph, x, &shape);
}

static qn_tensor *flat(qn_network *n, qn_tensor *x)
{
    if (!x) return NULL;
    const qn_shape *s = qn_tensor_shape(x);
    qn_shape shape = {.rank = 2, .dim = {s->dim[0], s->dim[1] * s->dim[2]}};
    return qn_graph_reshape(n->graph, x, &shape);
}

typedef struct layer_inputs {
    qn_tensor *pos, *ranges, *window, *index, *rope, *slots;
} layer_inputs;

static qn_tensor *columns(qn_network *n, qn_tensor *x, int64_t from, int64_t to)
{
    char line[64];
    snprintf(line, sizeof line, "slice axis=1 from=%lld to=%lld", (long long)from, (long long)to);
    return qn_apply(n->graph, line, x);
}

/* Append to the cache and read all of it. */
static qn_tensor *cache(qn_network *n, qn_tensor *x, qn_tensor *index, const char *what, int layer)
{
    char name[32];
    snprintf(name, sizeof name, "kv.%s.%d", what, layer);
    return qn_apply(n->graph, "scatter_rows", qn_graph_input(n->graph, name), x, index);
}

/* A query or key: normed where the architecture does, then turned by its position. */
static qn_tensor *turned(qn_network *n, qn_tensor *x, qn_role role, const layer_inputs *in,
                         int layer)
{
    if (qn__arch(n->config->arch)->qk_norm) x = norm(n, x, role, QN_ROLE_COUNT, layer);
    return qn_apply(n->graph, n->config->rope_pairs ? "rope" : "rope halves=1", x, in->pos,
                    in->rope);
}

typedef struct attention_inputs {
    qn_tensor *q, *k, *v;
} attention_inputs;

static attention_inputs project(qn_network *n, qn_tensor *x, const layer_inputs *in, int layer)
{
    const qn_model_config *c = n->config;
    const qn_arch_row *arch = qn__arch(c->arch);
    attention_inputs a;
    if (arch->fused_qkv) {
        qn_tensor *qkv = linear(n, x, QN_QKV, QN_QKV_BIAS, layer);
        int64_t size = qn__head_size(c), q = c->heads * size, k = c->kv_heads * size;
        a.q = heads(n, columns(n, qkv, 0, q), c->heads);
        a.k = heads(n, columns(n, qkv, q, q + k), c->kv_heads);
        a.v = heads(n, columns(n, qkv, q + k, q + 2 * k), c->kv_heads);
    } else {
        a.q = heads(n, linear(n, x, QN_Q, QN_Q_BIAS, layer), c->heads);
        a.k = heads(n, linear(n, x, QN_K, QN_K_BIAS, layer), c->kv_heads);
        a.v = heads(n, linear(n, x, QN_V_, QN_V_BIAS, layer), c->kv_heads);
    }
    if (!arch->learned_positions) {
        a.q = turned(n, a.q, QN_Q_NORM, in, layer);
        a.k = turned(n, a.k, QN_K_NORM, in, layer);
    }
    return a;
}

static qn_tensor *attention(qn_network *n, qn_tensor *x, const layer_inputs *in, int layer)
{
    const qn_model_config *c = n->config;
    attention_inputs a = project(n, x, in, layer);
    if (n->cached) {
        a.k = cache(n, a.k, in->index, "k", layer);
        a.v = cache(n, a.v, in->index, "v", layer);
    }
    char line[128];
    bool window = qn__layer_has_window(c, layer);
    int keys = ((n->length > 0 ? (int)n->length : c->context) + 1) / 2;
    snprintf(line, sizeof line, "attention scale=%.9g soft_cap=%.9g keys=%d",
             (double)c->attention_scale, (double)c->attention_cap,
             window && c->window < keys ? c->window : keys);
    qn_tensor *ranges = window ? in->window : in->ranges;
    qn_tensor *o = in->slots ? qn_apply(n->graph, line, a.q, a.k, a.v, ranges, in->slots)
                             : qn_apply(n->graph, line, a.q, a.k, a.v, ranges);
    o = linear(n, flat(n, o), QN_O, QN_O_BIAS, layer);
    if (qn__arch(c->arch)->post_norms) o = norm(n, o, QN_POST1, QN_ROLE_COUNT, layer);
    return dropout(n, o, n->dropout, 2 * layer + 1);
}

/* SwiGLU of two products, and the third. */
static qn_tensor *swiglu(qn_network *n, qn_tensor *x, const qn_role roles[3], int layer)
{
    qn_tensor *gate = linear(n, x, roles[0], QN_ROLE_COUNT, layer),
              *up = linear(n, x, roles[1], QN_ROLE_COUNT, layer);
    return linear(n, qn_apply(n->graph, "swiglu", gate, up), roles[2], QN_ROLE_COUNT, layer);
}

/* ---- a mixture of experts ---- */

/* Which rows meet which expert, as op expert_sort lists them. */
typedef struct pairs {
    qn_tensor *order, *groups;
} pairs;

static qn_tensor *expert_product(qn_network *n, qn_tensor *x, qn_tensor *w, const pairs *p)
{
    if (is_quantized(n, w))
        return qn_apply(n->graph, "expert_qmatmul", quantized(n, x), w, p->order, p->groups);
    return qn_apply(n->graph, "expert_matmul", x, w, p->order, p->groups);
}

/* gate and up of the same format are one product. */
static qn_tensor *expert_hidden(qn_network *n, qn_tensor *x, const pairs *p, int layer)
{
    qn_tensor *gate = weight(n, QN_GATE_EXPERTS, layer), *up = weight(n, QN_UP_EXPERTS, layer);
    if (!gate || !up) return NULL;
    if (!is_quantized(n, gate) || gate->desc.dtype != up->desc.dtype)
        return qn_apply(n->graph, "swiglu", expert_product(n, x, gate, p),
                        expert_product(n, x, up, p));
    qn_tensor *y =
        qn_apply(n->graph, "expert_qmatmul", quantized(n, x), gate, p->order, p->groups, up);
    return qn_apply(n->graph, "swiglu", y, qn__graph_output(y, 1));
}

static qn_tensor *mixture(qn_network *n, qn_tensor *x, int layer)
{
    static const qn_role shared[] = {QN_SHARED_GATE, QN_SHARED_UP, QN_SHARED_DOWN};
    const qn_model_config *c = n->config;
    char line[64];
    snprintf(line, sizeof line, "expert_route count=%d norm=%d", c->experts_used, c->expert_norm);
    qn_tensor *chosen = qn_apply(n->graph, line, linear(n, x, QN_ROUTER, QN_ROLE_COUNT, layer));
    snprintf(line, sizeof line, "expert_sort experts=%d", c->experts);
    pairs p = {.order = qn_apply(n->graph, line, qn__graph_output(chosen, 1))};
    p.groups = qn__graph_output(p.order, 1);
    qn_tensor *h = expert_hidden(n, x, &p, layer);
    h = expert_product(n, h, weight(n, QN_DOWN_EXPERTS, layer), &p);
    if (c->shared_ffn == 0) return qn_apply(n->graph, "expert_sum", h, chosen);
    return qn_apply(n->graph, "expert_sum", h, chosen, swiglu(n, x, shared, layer),
                    linear(n, x, QN_SHARED_ROUTER, QN_ROLE_COUNT, layer));
}

/* gate and up as one matrix [2F, C], or as two. */
static qn_tensor *gated(qn_network *n, qn_tensor *x, int layer)
{
    const qn_arch_row *arch = qn__arch(n->config->arch);
    qn_tensor *gate, *up;
    if (arch->fused_gate) {
        qn_tensor *both = linear(n, x, QN_GATE_UP, QN_ROLE_COUNT, layer);
        gate = columns(n, both, 0, n->config->ffn);
        up = columns(n, both, n->config->ffn, 2 * (int64_t)n->config->ffn);
    } else {
        gate = linear(n, x, QN_GATE, QN_GATE_BIAS, layer);
        up = linear(n, x, QN_UP, QN_UP_BIAS, layer);
    }
    if (!arch->gelu_gate) return qn_apply(n->graph, "swiglu", gate, up);
    return qn_apply(n->graph, "multiply", qn_apply(n->graph, "gelu", gate), up);
}

static qn_tensor *feed_forward(qn_network *n, qn_tensor *x, int layer)
{
    const qn_arch_row *arch = qn__arch(n->config->arch);
    if (arch->experts) return dropout(n, mixture(n, x, layer), n->dropout, 2 * layer + 2);
    qn_tensor *h = arch->swiglu ? gated(n, x, layer)
                                : qn_apply(n->graph, n->config->gelu_erf ? "gelu erf=1" : "gelu",
                                           linear(n, x, QN_UP, QN_UP_BIAS, layer));
    h = linear(n, h, QN_DOWN, QN_DOWN_BIAS, layer);
    if (arch->post_norms) h = norm(n, h, QN_POST2, QN_ROLE_COUNT, layer);
    return dropout(n, h, n->dropout, 2 * layer + 2);
}

static qn_tensor *scaled(qn_network *n, qn_tensor *x, double factor)
{
    char line[64];
    snprintf(line, sizeof line, "scale factor=%.9g", factor);
    return qn_apply(n->graph, line, x);
}

qn_tensor *qn__network_hidden(qn_network *n)
{
    const qn_arch_row *arch = qn__arch(n->config->arch);
    layer_inputs in = {.ranges = input(n, "ranges"),
                       .window = qn__has_window(n->config) ? input(n, "window") : NULL,
                       .index = n->cached ? input(n, "index") : NULL,
                       .slots = n->slots ? qn_graph_input(n->graph, "kv.slots") : NULL,
                       .rope = arch->learned_positions ? NULL : qn_graph_input(n->graph, "rope")};
    in.pos = input(n, "pos");
    n->rng = qn__network_is_random(n) ? input(n, "rng") : NULL;
    char look_up[32];
    snprintf(look_up, sizeof look_up, "embedding out=%s", qn_dtype_name(n->type));
    qn_tensor *table = weight(n, QN_TOKENS, -1);
    qn_tensor *x =
        qn_apply(n->graph, is_quantized(n, table) ? "qembedding" : look_up, table, input(n, "ids"));
    if (arch->learned_positions)
        x = qn_apply(n->graph, "add", x,
                     qn_apply(n->graph, look_up, weight(n, QN_POSITIONS, -1), in.pos));
    if (arch->scaled_tokens) x = scaled(n, x, sqrt((double)n->config->embed));
    x = dropout(n, x, n->dropout, 0);
    for (int layer = 0; layer < n->config->layers; layer++) {
        qn__graph_begin_block(n->graph, layer + 1);
        qn_tensor *h = norm(n, x, QN_NORM1, QN_NORM1_BIAS, layer);
        x = qn_apply(n->graph, "add", x, attention(n, h, &in, layer));
        h = norm(n, x, QN_NORM2, QN_NORM2_BIAS, layer);
        x = qn_apply(n->graph, "add", x, feed_forward(n, h, layer));
    }
    qn__graph_begin_block(n->graph, 0);
    return norm(n, x, QN_FINAL, QN_FINAL_BIAS, -1);
}

qn_tensor *qn__network_head(qn_network *n, qn_tensor *hidden)
{
    if (!n->head) n->head = weight(n, n->config->tied ? QN_TOKENS : QN_HEAD, -1);
    qn_tensor *logits = is_quantized(n, n->head)
                            ? qn_apply(n->graph, "qmatmul", quantized(n, hidden), n->head)
                            : qn_apply(n->graph, "matmul trans_b=1", hidden, n->head);
    double cap = (double)n->config->logit_cap;
    if (cap == 0) return logits;
    return scaled(n, qn_apply(n->graph, "tanh", scaled(n, logits, 1 / cap)), cap);
}

void qn__network_free(qn_network *network)
{
    free(network->uses);
    network->uses = NULL;
    network->use_count = network->use_capacity = 0;
}
