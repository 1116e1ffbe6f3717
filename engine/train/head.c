#include "train/head.h"

#include "base/check.h"
#include "graph/graph.h"

#include <stdlib.h>
#include <string.h>

qn_status qn__head_parse(const char *text, int64_t *chunk)
{
    char *end;
    *chunk = -1;
    if (strcmp(text, "auto") == 0) return QN_OK;
    *chunk = strtoll(text, &end, 10);
    QN_CHECK(*text && *end == 0 && *chunk >= 0 && *chunk <= INT32_MAX,
             "head_chunk: \"%s\" is not auto or a number of rows (0: all)", text);
    return QN_OK;
}

int64_t qn__head_rows(int64_t chunk, int64_t rows, int64_t vocab, qn_dtype type)
{
    const int64_t most = (256 << 20) / 4;
    if (chunk < 0) {
        chunk = rows;
        if (vocab > 0 && rows > most / vocab) chunk = most / vocab / 64 * 64;
        if (chunk < 64) chunk = 64;
    }
    if (type != QN_F32) chunk = (chunk + 63) / 64 * 64;
    return chunk <= 0 || chunk > rows ? rows : chunk;
}

static qn_status whole(qn_network *n, bool backward)
{
    qn_graph *graph = n->graph;
    qn_tensor *logits = qn__network_head(n, qn__network_hidden(n));
    qn_tensor *loss =
        qn_apply(graph, "cross_entropy", logits, qn_graph_input(graph, "train.targets"));
    QN_TRY(qn_graph_status(graph));
    QN_TRY(qn_graph_assign(graph, loss, "train.loss"));
    if (!backward) return QN_OK;
    return qn_graph_backward(graph, loss, qn_graph_input(graph, "train.seed"));
}

typedef struct pieces {
    int hidden, targets, seed; /* read */
    int loss, dhidden;         /* made part by part; seed and dhidden -1: no gradient */
} pieces;

/* Rows [first, first + count): loss, and at once the gradient. */
static qn_status part(qn_network *n, const pieces *p, int64_t first, int64_t count)
{
    qn_graph *graph = n->graph;
    int h, targets, seed, from = graph->node_count;
    QN_TRY(qn__graph_rows_of(graph, p->hidden, first, count, &h));
    QN_TRY(qn__graph_rows_of(graph, p->targets, first, count, &targets));
    qn_tensor *logits = qn__network_head(n, graph->tensors[h]);
    qn_tensor *loss = qn_apply(graph, "cross_entropy", logits, graph->tensors[targets]);
    QN_TRY(qn_graph_status(graph));
    QN_TRY(qn__graph_join(graph, loss->id, p->loss, first));
    if (p->seed < 0) return QN_OK;
    QN_TRY(qn__graph_rows_of(graph, p->seed, first, count, &seed));
    QN_TRY(qn__graph_backward_part(graph, from, loss->id, seed));
    if (p->dhidden < 0) return QN_OK;
    return qn__graph_join(graph, graph->tensors[h]->grad, p->dhidden, first);
}

static qn_status in_parts(qn_network *n, int64_t chunk, bool backward)
{
    qn_graph *graph = n->graph;
    qn_tensor *hidden = qn__network_hidden(n), *targets = qn_graph_input(graph, "train.targets"),
              *seed = backward ? qn_graph_input(graph, "train.seed") : NULL;
    QN_TRY(qn_graph_status(graph));
    pieces p = {
        .hidden = hidden->id, .targets = targets->id, .seed = seed ? seed->id : -1, .dhidden = -1};
    qn_desc losses = {.dtype = QN_F32, .layout = QN_ROWS, .shape = targets->desc.shape};
    int64_t rows = losses.shape.dim[0];
    int until = graph->node_count;
    QN_TRY(qn__graph_new_tensor(graph, &losses, &p.loss));
    if (backward && hidden->wants_grad)
        QN_TRY(qn__graph_new_tensor(graph, &hidden->desc, &p.dhidden));
    for (int64_t first = 0; first < rows; first += chunk)
        QN_TRY(part(n, &p, first, rows - first < chunk ? rows - first : chunk));
    QN_TRY(qn_graph_assign(graph, graph->tensors[p.loss], "train.loss"));
    if (p.dhidden < 0) return QN_OK;
    return qn__graph_backward_rest(graph, until, p.hidden, p.dhidden);
}

qn_status qn__head_loss(qn_network *n, int64_t chunk, bool backward)
{
    int index = qn__store_index(qn__graph_store(n->graph), "train.targets");
    QN_CHECK(index >= 0, "the store has no \"train.targets\"");
    int64_t rows = qn__graph_store(n->graph)->tensors[index].desc.shape.dim[0];
    return chunk < rows ? in_parts(n, chunk, backward) : whole(n, backward);
}
