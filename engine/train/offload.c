#include "train/offload.h"

#include "base/check.h"
#include "graph/graph.h"
#include "train/shard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

qn_status qn__offload_parse(const char *text, bool *optimizer)
{
    *optimizer = strcmp(text, "optimizer") == 0;
    QN_CHECK(*optimizer || strcmp(text, "none") == 0, "offload: \"%s\" is not none or optimizer",
             text);
    return QN_OK;
}

/* A run of elements of one trained tensor. */
typedef struct piece {
    int p, g, m, v, copy;   /* views of it; copy -1: none */
    int m_device, v_device; /* fetched */
    bool decay;
    int number; /* of the tensor */
    int64_t first;
} piece;

typedef struct pieces {
    piece *list;
    int count, capacity;
} pieces;

/* Two pieces are there at once: small, where there is little room, and few, since each is some
 * nodes of a plan. */
static int64_t elements_a_piece(const qn_training *t)
{
    const int64_t unit = 4096, most = 16 << 20;
    int64_t largest = 0;
    qn_weight weight;
    for (int cursor = 0; qn__trainable_next(&t->config, &t->lora, &cursor, &weight);)
        if (qn_shape_elements(&weight.shape) > largest) largest = qn_shape_elements(&weight.shape);
    int64_t elements = (largest / 16 + unit - 1) / unit * unit;
    return elements < unit ? unit : elements > most ? most : elements;
}

static piece *more(pieces *all)
{
    if (all->count == all->capacity) {
        int capacity = all->capacity ? all->capacity * 2 : 64;
        piece *list = realloc(all->list, (size_t)capacity * sizeof *list);
        if (!list) return NULL;
        all->list = list;
        all->capacity = capacity;
    }
    return &all->list[all->count++];
}

/* Elements [first, first + count) of a stored tensor. */
static qn_status view(qn_graph *graph, const char *prefix, const char *name, int64_t first,
                      int64_t count, int *output)
{
    char full[160];
    int flat;
    snprintf(full, sizeof full, "%s%s", prefix, name);
    const qn_tensor *tensor = qn_graph_input(graph, full);
    QN_TRY(qn_graph_status(graph));
    qn_shape line = {.rank = 1, .dim = {qn_shape_elements(&tensor->desc.shape)}};
    QN_TRY(qn__graph_view(graph, tensor->id, &line, &flat));
    return qn__graph_rows_of(graph, flat, first, count, output);
}

static qn_status cut(const qn_training *t, qn_graph *graph, pieces *all)
{
    int64_t most = t->offload ? elements_a_piece(t) : INT64_MAX, from, to;
    qn_weight weight;
    int number = 0;
    for (int cursor = 0; qn__trainable_next(&t->config, &t->lora, &cursor, &weight); number++) {
        char name[160];
        const char *copy = qn__copy_name(t->store, weight.name, t->type, name, sizeof name);
        qn__shard_range(t, number, t->rank, &from, &to);
        for (int64_t first = from, count; first < to; first += count) {
            count = to - first < most ? to - first : most;
            piece *made = more(all);
            if (!made) return qn__fail(QN_OS_ERROR, "out of memory");
            *made = (piece){.decay = weight.decay, .number = number, .first = first, .copy = -1};
            if (copy) QN_TRY(view(graph, "", copy, first, count, &made->copy));
            QN_TRY(view(graph, "", weight.name, first, count, &made->p));
            QN_TRY(view(graph, "grad.", weight.name, first, count, &made->g));
            QN_TRY(view(graph, "m.", weight.name, first - from, count, &made->m));
            QN_TRY(view(graph, "v.", weight.name, first - from, count, &made->v));
        }
    }
    return QN_OK;
}

static qn_status fetch(const qn_training *t, qn_graph *graph, piece *p)
{
    p->m_device = p->m;
    p->v_device = p->v;
    if (!t->offload) return QN_OK;
    QN_TRY(qn__graph_fetch(graph, p->m, &p->m_device));
    return qn__graph_fetch(graph, p->v, &p->v_device);
}

static qn_status update(const qn_training *t, qn_graph *graph, const piece *p, int hyper,
                        int rounding)
{
    int inputs[8] = {p->p, p->g, p->m_device, p->v_device, hyper, -1, p->copy, rounding}, ignored;
    char line[96];
    qn__training_adamw_line(t, p->number, p->decay, p->first, line, sizeof line);
    QN_TRY(qn__graph_emit(graph, line, inputs, 8, &ignored));
    if (!t->offload) return QN_OK;
    QN_TRY(qn__graph_send(graph, p->m_device, p->m));
    return qn__graph_send(graph, p->v_device, p->v);
}

qn_status qn__offload_update(qn_training *t, qn_graph *graph)
{
    pieces all = {0};
    const qn_tensor *hyper = qn_graph_input(graph, "train.hyper");
    const qn_tensor *rounding =
        qn__training_rounds(t) ? qn_graph_input(graph, "train.rounding") : NULL;
    QN_TRY(qn_graph_status(graph));
    qn_status status = cut(t, graph, &all);
    if (status == QN_OK && all.count > 0) status = fetch(t, graph, &all.list[0]);
    for (int i = 0; i < all.count && status == QN_OK; i++) {
        if (i + 1 < all.count) status = fetch(t, graph, &all.list[i + 1]);
        if (status == QN_OK)
            status = update(t, graph, &all.list[i], hyper->id, rounding ? rounding->id : -1);
    }
    free(all.list);
    return status;
}
