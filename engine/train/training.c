#include "train/training.h"

#include "base/check.h"
#include "graph/graph.h"
#include "train/head.h"
#include "train/leaves.h"
#include "train/offload.h"
#include "train/reduce.h"
#include "train/shard.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- declaring ---- */

static const char *prefixed(char *text, size_t bytes, const char *prefix, const char *name)
{
    snprintf(text, bytes, "%s.%s", prefix, name);
    return text;
}

/* A rank that has some of the elements has them as a line. */
static qn_status declare_moments(qn_training *t, const qn_weight *weight, int number)
{
    char name[128];
    int64_t from, to;
    qn__shard_range(t, number, t->rank, &from, &to);
    qn_shape line = {.rank = 1, .dim = {to - from}};
    if (from == to) return QN_OK;
    for (int i = 0; i < 2; i++)
        QN_TRY(qn_store_add(t->store, "moments",
                            prefixed(name, sizeof name, i ? "v" : "m", weight->name), t->moments,
                            t->zero ? &line : &weight->shape));
    return QN_OK;
}

static qn_status declare(qn_training *t)
{
    qn_store *store = t->store;
    qn_weight weight;
    qn_shape rows = {.rank = 1, .dim = {t->rows}}, eight = {.rank = 1, .dim = {8}};
    char name[128];
    int number = 0;
    QN_TRY(qn__weights_declare(store, &t->config, t->matrices));
    QN_TRY(qn__lora_declare(store, &t->config, &t->lora));
    QN_TRY(qn__copies_declare(store, &t->config, &t->lora, t->type));
    for (int cursor = 0; qn__trainable_next(&t->config, &t->lora, &cursor, &weight);) {
        qn_shape parts = {.rank = 1, .dim = {(qn_shape_elements(&weight.shape) + 4095) / 4096}};
        const char *group = weight.shape.rank == 2 ? QN_GRAD : QN_GRAD_VECTORS;
        QN_TRY(qn_store_add(store, group, prefixed(name, sizeof name, "grad", weight.name), QN_F32,
                            &weight.shape));
        if (weight.role == QN_TOKENS && t->config.tied)
            QN_TRY(qn_store_add(store, group, prefixed(name, sizeof name, "grad2", weight.name),
                                QN_F32, &weight.shape));
        QN_TRY(declare_moments(t, &weight, number++));
        QN_TRY(qn_store_add(store, "norm", prefixed(name, sizeof name, "norm", weight.name), QN_F32,
                            &parts));
    }
    QN_TRY(qn__leaves_declare(t));
    if (t->offload) QN_TRY(qn__store_set_host(store, "moments"));
    QN_TRY(qn_store_add(store, "leaf", "train.targets", QN_I32, &rows));
    QN_TRY(qn_store_add(store, "leaf", "train.seed", QN_F32, &rows));
    QN_TRY(qn_store_add(store, "leaf", "train.loss", QN_F32, &rows));
    QN_TRY(qn_store_add(store, "leaf", "train.ids", QN_I32, &rows));
    QN_CHECK(t->leaves <= QN_MAX_COPIES,
             "%lld micro-batches a step; at most %d: raise --micro-batch", (long long)t->leaves,
             QN_MAX_COPIES);
    QN_TRY(qn__store_set_copies(store, "leaf", (int)t->leaves));
    return qn_store_add(store, "inputs", "train.hyper", QN_F32, &eight);
}

static qn_network network_of(const qn_training *t, bool with_dropout)
{
    return (qn_network){.config = &t->config,
                        .prefix = "train",
                        .dropout = with_dropout ? t->dropout : 0,
                        .lora = with_dropout ? &t->lora : &t->lora_still,
                        .length = t->length,
                        .type = t->type};
}

static bool is_random(const qn_training *t)
{
    qn_network network = network_of(t, true);
    return qn__network_is_random(&network);
}

/* Positions and ranges are the same for every leaf unless documents are packed; ids are declared
 * with the leaf. */
static qn_status declare_shared(qn_training *t)
{
    qn_shape rows = {.rank = 1, .dim = {t->rows}}, ranges = {.rank = 2, .dim = {t->rows, 4}};
    qn_shape four = {.rank = 1, .dim = {4}};
    const char *group = t->packed ? "leaf" : "inputs";
    QN_TRY(qn_store_add(t->store, group, "train.pos", QN_I32, &rows));
    QN_TRY(qn_store_add(t->store, group, "train.ranges", QN_I32, &ranges));
    if (qn__has_window(&t->config))
        QN_TRY(qn_store_add(t->store, group, "train.window", QN_I32, &ranges));
    if (is_random(t)) QN_TRY(qn_store_add(t->store, "leaf", "train.rng", QN_I32, &four));
    if (qn__training_rounds(t))
        QN_TRY(qn_store_add(t->store, "inputs", "train.rounding", QN_I32, &four));
    return QN_OK;
}

/* ---- graphs ---- */

static qn_status plan(const qn_training *t, qn_graph *graph, qn_plan **made)
{
    const qn_plan_options options = {.size = sizeof options,
                                     .variant = t->variant,
                                     .recompute = t->recompute,
                                     .tune = t->tune,
                                     .tune_seconds = t->tune_seconds};
    return qn_plan_create(graph, &options, made);
}

static const char *const sum_names[] = {"grad", "grad2"}; /* of a weight's first use, and second */

/* joined: copies of the tree that a matrix's gradient is added to, the newest first; the sum takes
 * the place of the oldest. */
static qn_status assign_gradients(qn_training *t, qn_network *network, int joined)
{
    for (int i = 0; i < network->use_count; i++) {
        char name[128];
        const char *weight = t->store->tensors[network->uses[i].store].name;
        qn_tensor *gradient = qn_graph_gradient(network->graph, network->uses[i].tensor);
        QN_CHECK(gradient != NULL, "weight %s has no gradient", weight);
        (void)prefixed(name, sizeof name, sum_names[network->uses[i].again], weight);
        bool matrix = t->store->tensors[network->uses[i].store].desc.shape.rank == 2;
        for (int copy = matrix ? joined - 1 : -1; copy >= 0; copy--)
            gradient = qn_apply(network->graph, "add", qn__graph_copy(network->graph, name, copy),
                                gradient);
        QN_TRY(qn_graph_assign(network->graph, gradient, name));
    }
    return QN_OK;
}

/* A leaf's graph: its gradients replace what is stored, or are added to `joined` copies of it, or
 * (carried) go on from it. */
static qn_status build_leaf(qn_training *t, int joined, bool carried, qn_graph **graph,
                            qn_plan **made)
{
    qn_network network = network_of(t, true);
    QN_TRY(qn_graph_create(t->store, graph));
    network.graph = *graph;
    network.sums = carried ? sum_names : NULL;
    qn_status status = qn__head_loss(&network, t->head_chunk, true);
    if (status == QN_OK) status = assign_gradients(t, &network, joined);
    qn__network_free(&network);
    QN_TRY(status);
    return plan(t, *graph, made);
}

static qn_status build_step(qn_training *t)
{
    QN_TRY(build_leaf(t, 0, false, &t->step_graph, &t->step_plan));
    for (int j = 1; j <= QN_JOINS; j++)
        if (qn__leaves_joined(t, j) > 0)
            QN_TRY(build_leaf(t, t->chain ? 0 : j, t->chain, &t->more_graph[j - 1],
                              &t->more_plan[j - 1]));
    return QN_OK;
}

static qn_status build_eval(qn_training *t)
{
    t->separate_eval = is_random(t) || t->head_chunk < t->rows;
    if (!t->separate_eval) return QN_OK;
    qn_network network = network_of(t, false);
    QN_TRY(qn_graph_create(t->store, &t->eval_graph));
    network.graph = t->eval_graph;
    qn_status status = qn__head_loss(&network, t->head_chunk, false);
    qn__network_free(&network);
    QN_TRY(status);
    return plan(t, t->eval_graph, &t->eval_plan);
}

/* Join the uses of a tied weight, then the sums of squares. */
static qn_status build_norm(qn_training *t)
{
    qn_weight weight;
    char name[128];
    QN_TRY(qn_graph_create(t->store, &t->norm_graph));
    for (int cursor = 0; qn__trainable_next(&t->config, &t->lora, &cursor, &weight);) {
        qn_tensor *g =
            qn_graph_input(t->norm_graph, prefixed(name, sizeof name, "grad", weight.name));
        if (weight.role == QN_TOKENS && t->config.tied) {
            g = qn_apply(
                t->norm_graph, "add", g,
                qn_graph_input(t->norm_graph, prefixed(name, sizeof name, "grad2", weight.name)));
            QN_TRY(qn_graph_status(t->norm_graph));
            QN_TRY(qn_graph_assign(t->norm_graph, g,
                                   prefixed(name, sizeof name, "grad", weight.name)));
        }
        qn_tensor *sums = qn_apply(t->norm_graph, "sum_squares", g);
        QN_TRY(qn_graph_status(t->norm_graph));
        QN_TRY(
            qn_graph_assign(t->norm_graph, sums, prefixed(name, sizeof name, "norm", weight.name)));
    }
    return plan(t, t->norm_graph, &t->norm_plan);
}

bool qn__training_rounds(const qn_training *t)
{
    bool trained = t->lora.rank == 0 && t->matrices != QN_F32;
    return trained || t->moments != QN_F32;
}

void qn__training_adamw_line(const qn_training *t, int number, bool decay, int64_t first,
                             char *line, size_t bytes)
{
    enum { STREAMS = 0x52000000 }; /* away from dropout's */
    if (!qn__training_rounds(t)) snprintf(line, bytes, "adamw decay=%d", decay);
    else
        snprintf(line, bytes, "adamw decay=%d stream=%d first=%lld", decay, STREAMS + number,
                 (long long)first);
}

static qn_status build_update(qn_training *t)
{
    qn_weight weight;
    char grad[128], m[128], v[128], name[160], line[96];
    int number = 0;
    QN_TRY(qn_graph_create(t->store, &t->update_graph));
    qn_graph *g = t->update_graph;
    if (t->offload || t->zero) {
        QN_TRY(qn__offload_update(t, g));
        return plan(t, g, &t->update_plan);
    }
    qn_tensor *hyper = qn_graph_input(g, "train.hyper");
    qn_tensor *rounding = qn__training_rounds(t) ? qn_graph_input(g, "train.rounding") : QN_NONE;
    for (int cursor = 0; qn__trainable_next(&t->config, &t->lora, &cursor, &weight); number++) {
        const char *copy = qn__copy_name(t->store, weight.name, t->type, name, sizeof name);
        qn__training_adamw_line(t, number, weight.decay, 0, line, sizeof line);
        qn_apply(g, line, qn_graph_input(g, weight.name),
                 qn_graph_input(g, prefixed(grad, sizeof grad, "grad", weight.name)),
                 qn_graph_input(g, prefixed(m, sizeof m, "m", weight.name)),
                 qn_graph_input(g, prefixed(v, sizeof v, "v", weight.name)), hyper, QN_NONE,
                 copy ? qn_graph_input(g, copy) : QN_NONE, rounding);
    }
    QN_TRY(qn_graph_status(g));
    return plan(t, g, &t->update_plan);
}

/* Sessions over the same store: no copy of the weights, and a cache that the plan counts. */
static qn_status build_writer(qn_training *t, bool wanted)
{
    if (!wanted) return QN_OK;
    qn_model_config config = t->config;
    config.context = (int32_t)t->length; /* its cache is no longer than what is trained on */
    QN_TRY(qn__model_over(t->store, &config, &t->lora_still, t->matrices, &t->writer));
    return qn__model_plan_cache(t->writer);
}

/* Of a row of a packed leaf on the host: its position, its range, its range in the window. */
enum { SPAN = 9 };

/* A rank's share of what is joined each step: its norm, and the losses of at most so many leaves.
 */
static size_t share_doubles(const qn_training *t)
{
    return 1 + (size_t)((t->all_leaves + t->ranks - 1) / t->ranks);
}

static qn_status host_memory(qn_training *t)
{
    size_t rows = (size_t)t->rows, leaves = (size_t)t->leaves;
    for (int i = 0; i < 2; i++) {
        t->host[i] = calloc(leaves * rows * 2 + 1, sizeof **t->host);
        t->seed_host[i] = calloc(rows + 1, sizeof **t->seed_host);
        t->rng_host[i] = calloc(leaves * 4, sizeof **t->rng_host);
        if (t->packed) t->spans[i] = calloc(leaves * rows * SPAN + 1, sizeof **t->spans);
        if (!t->host[i] || !t->seed_host[i] || !t->rng_host[i] || (t->packed && !t->spans[i]))
            return qn__fail(QN_OS_ERROR, "out of memory");
    }
    t->losses = malloc((rows + 1) * sizeof *t->losses);
    t->shares = malloc((size_t)(t->ranks + 1) * (share_doubles(t) + 1) * sizeof *t->shares);
    return t->losses && t->shares ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
}

/* Leaves in contiguous runs, as even as can be. */
static int64_t first_leaf(const qn_training *t, int rank)
{
    return t->all_leaves / t->ranks * rank + t->all_leaves % t->ranks * rank / t->ranks;
}

static qn_status share_leaves(qn_training *t)
{
    QN_CHECK(t->all_leaves >= t->ranks,
             "%d ranks, and a batch of %lld sequences makes %lld micro-batches of %lld: give at "
             "most --micro-batch %lld, or a larger --batch",
             t->ranks, (long long)t->batch, (long long)t->all_leaves, (long long)t->micro,
             (long long)(t->batch >= t->ranks ? t->batch / t->ranks : 1));
    t->first = malloc((size_t)(t->ranks + 1) * sizeof *t->first);
    if (!t->first) return qn__fail(QN_OS_ERROR, "out of memory");
    for (int r = 0; r <= t->ranks; r++) t->first[r] = t->chain ? r : first_leaf(t, r);
    return QN_OK;
}

qn_status qn__training_create(qn_device *device, const qn_caps *caps, const qn_model_config *config,
                              const qn_training_options *options, qn_training **training)
{
    *training = NULL;
    QN_TRY(qn_model_config_check(config));
    QN_CHECK(options->batch >= 1 && options->micro >= 1 && options->batch % options->micro == 0,
             "a batch of %lld sequences is not a multiple of the micro-batch %lld",
             (long long)options->batch, (long long)options->micro);
    QN_CHECK(options->length >= 0 && options->length <= config->context,
             "sequences of %lld tokens do not fit the model's context of %d: lower --context",
             (long long)options->length, config->context);
    qn_training *t = calloc(1, sizeof *t);
    if (!t) return qn__fail(QN_OS_ERROR, "out of memory");
    t->config = *config;
    t->batch = options->batch;
    t->micro = options->micro;
    t->rank = options->rank;
    t->ranks = options->ranks > 0 ? options->ranks : 1;
    t->comm = t->ranks > 1 ? options->comm : NULL;
    t->all_leaves = t->batch / t->micro;
    t->first_leaf = first_leaf(t, t->rank);
    t->leaves = first_leaf(t, t->rank + 1) - t->first_leaf;
    t->length = options->length > 0 ? options->length : config->context;
    t->rows = t->micro * t->length;
    t->dropout = options->dropout;
    if (options->lora) t->lora = t->lora_still = *options->lora;
    t->lora_still.dropout = 0;
    t->type = options->type;
    t->chain = options->chain;
    t->matrices = options->no_master ? t->type : QN_F32;
    t->moments = options->moments;
    t->loss_scale = 1;
    t->packed = options->packed;
    t->variant = options->variant;
    t->recompute = options->recompute;
    t->offload = options->offload;
    t->tune = options->tune;
    t->tune_seconds = options->tune_seconds;
    t->head_chunk = qn__head_rows(options->head_chunk, t->rows, config->vocab, options->type);
    t->zero = options->zero && t->ranks > 1;
    qn_status status = share_leaves(t);
    if (status == QN_OK) status = qn__shard_declare(t);
    if (status == QN_OK && t->rows >= INT32_MAX / 4)
        status = qn__fail(QN_BAD_ARGUMENT, "micro-batch x context is too large");
    if (status == QN_OK) status = qn__store_create(device, caps, &t->store);
    if (status == QN_OK) status = declare(t);
    if (status == QN_OK) status = declare_shared(t);
    if (status == QN_OK) status = build_step(t);
    if (status == QN_OK) status = build_eval(t);
    if (status == QN_OK) status = build_norm(t);
    if (status == QN_OK) status = build_update(t);
    if (status == QN_OK) status = build_writer(t, options->writes);
    if (status != QN_OK) qn__training_destroy(&t);
    *training = t;
    return status;
}

void qn__training_destroy(qn_training **training)
{
    qn_training *t = *training;
    if (!t) return;
    if (t->store && t->store->device)
        (void)!qn__device_finish(t->store->device); /* host arrays may be in use */
    qn__reduce_destroy(&t->reduce);
    qn__shard_destroy(&t->shard);
    qn_model_destroy(&t->writer);
    qn_plan *plans[] = {t->step_plan, t->eval_plan, t->norm_plan, t->update_plan};
    qn_graph *graphs[] = {t->step_graph, t->eval_graph, t->norm_graph, t->update_graph};
    for (int i = 0; i < 4; i++) qn_plan_destroy(&plans[i]);
    for (int i = 0; i < QN_JOINS; i++) qn_plan_destroy(&t->more_plan[i]);
    for (int i = 0; i < 4; i++) qn_graph_destroy(&graphs[i]);
    for (int i = 0; i < QN_JOINS; i++) qn_graph_destroy(&t->more_graph[i]);
    qn_store_destroy(&t->store);
    for (int i = 0; i < 2; i++) {
        free(t->host[i]);
        free(t->spans[i]);
        free(t->seed_host[i]);
        free(t->rng_host[i]);
    }
    free(t->losses);
    free(t->shares);
    free(t->norms);
    free(t->first);
    free(t->starts);
    free(t);
    *training = NULL;
}

int qn__training_plans(const qn_training *t, qn_plan *plans[QN_STEP_PLANS],
                       int64_t runs[QN_STEP_PLANS])
{
    int count = 0;
    plans[count] = t->step_plan;
    runs[count++] = qn__leaves_joined(t, 0);
    for (int j = 1; j <= QN_JOINS; j++) {
        if (!t->more_plan[j - 1]) continue;
        plans[count] = t->more_plan[j - 1];
        runs[count++] = qn__leaves_joined(t, j);
    }
    plans[count] = t->norm_plan;
    runs[count++] = 1;
    plans[count] = t->update_plan;
    runs[count++] = 1;
    return count;
}

uint64_t qn__training_bytes(const qn_training *training)
{
    qn_plan_facts facts;
    qn_plan_facts_get(training->step_plan, &facts);
    return facts.total_bytes;
}

double qn__training_flops(const qn_training *training)
{
    qn_plan_facts facts;
    qn_plan_facts_get(training->step_plan, &facts);
    return facts.matrix_flops * (double)training->leaves;
}

/* ---- running ---- */

static qn_status write_causal(qn_training *t)
{
    size_t rows = (size_t)t->rows;
    int32_t *ranges = malloc(rows * 5 * sizeof *ranges + 1);
    if (!ranges) return qn__fail(QN_OS_ERROR, "out of memory");
    qn__causal_ranges(ranges, ranges + rows * 4, (int)t->micro, (int)t->length);
    qn_status status = qn__network_write_ranges(t->store, &t->config, "train", ranges, rows);
    if (status == QN_OK)
        status = qn_store_write(t->store, "train.pos", ranges + rows * 4, rows * sizeof *ranges);
    free(ranges);
    return status;
}

qn_status qn__training_prepare(qn_training *t)
{
    QN_TRY(host_memory(t));
    QN_TRY(qn_plan_prepare(t->step_plan));
    for (int j = 0; j < QN_JOINS; j++)
        if (t->more_plan[j]) QN_TRY(qn_plan_prepare(t->more_plan[j]));
    if (t->eval_plan) QN_TRY(qn_plan_prepare(t->eval_plan));
    QN_TRY(qn_plan_prepare(t->norm_plan));
    QN_TRY(qn_plan_prepare(t->update_plan));
    if (t->comm) QN_TRY(qn__reduce_create(t, t->comm, &t->reduce));
    if (t->comm && t->zero) QN_TRY(qn__shard_create(t, &t->shard));
    QN_TRY(qn__rope_fill(t->store, &t->config));
    return t->packed ? QN_OK : write_causal(t);
}

void qn__training_set_leaf(qn_training *t, int64_t leaf, const int32_t *ids, const int32_t *targets)
{
    int32_t *to = t->host[t->turn] + (size_t)leaf * (size_t)t->rows * 2;
    memcpy(to, ids, (size_t)t->rows * sizeof *to);
    memcpy(to + t->rows, targets, (size_t)t->rows * sizeof *to);
}

void qn__training_set_positions(qn_training *t, int64_t leaf, const int32_t *positions)
{
    if (!t->packed) return;
    int32_t *to = t->spans[t->turn] + (size_t)leaf * (size_t)t->rows * SPAN;
    memcpy(to, positions, (size_t)t->rows * sizeof *to);
    qn__document_ranges(to + t->rows, positions, (int)t->rows);
    qn__window_ranges(&t->config, to + t->rows, (size_t)t->rows, to + 5 * t->rows);
}

/* Positions and ranges of a packed leaf, which is the selected one. */
static qn_status write_spans(qn_training *t, int64_t leaf)
{
    const int32_t *spans = t->spans[t->turn] + (size_t)leaf * (size_t)t->rows * SPAN;
    uint64_t bytes = (uint64_t)t->rows * sizeof *spans;
    qn_store *store = t->store;
    QN_TRY(qn__store_write_later(store, qn__store_index(store, "train.pos"), spans, bytes));
    QN_TRY(qn__store_write_later(store, qn__store_index(store, "train.ranges"), spans + t->rows,
                                 4 * bytes));
    if (!qn__has_window(&t->config)) return QN_OK;
    return qn__store_write_later(store, qn__store_index(store, "train.window"), spans + 5 * t->rows,
                                 4 * bytes);
}

static qn_status write_leaf(qn_training *t, int64_t leaf, uint64_t seed, int64_t step)
{
    qn_store *store = t->store;
    const int32_t *ids = t->host[t->turn] + (size_t)leaf * (size_t)t->rows * 2;
    uint64_t bytes = (uint64_t)t->rows * 4;
    QN_TRY(qn__store_select(store, "leaf", (int)leaf));
    QN_TRY(qn__store_write_later(store, qn__store_index(store, "train.ids"), ids, bytes));
    QN_TRY(qn__store_write_later(store, qn__store_index(store, "train.targets"), ids + t->rows,
                                 bytes));
    QN_TRY(qn__store_write_later(store, qn__store_index(store, "train.seed"), t->seed_host[t->turn],
                                 bytes));
    if (t->packed) QN_TRY(write_spans(t, leaf));
    if (!is_random(t)) return QN_OK;
    int32_t *rng = t->rng_host[t->turn] + leaf * 4;
    rng[0] = (int32_t)seed;
    rng[1] = (int32_t)(seed >> 32);
    rng[2] = (int32_t)step;
    rng[3] = (int32_t)((t->first_leaf + leaf) * t->rows);
    return qn__store_write_later(store, qn__store_index(store, "train.rng"), rng, 4 * sizeof *rng);
}

/* Of each of this rank's leaves. */
static qn_status read_losses(qn_training *t, double *sums)
{
    for (int64_t leaf = 0; leaf < t->leaves; leaf++) {
        sums[leaf] = 0;
        QN_TRY(qn__store_select(t->store, "leaf", (int)leaf));
        QN_TRY(
            qn_store_read(t->store, "train.loss", t->losses, (size_t)t->rows * sizeof *t->losses));
        for (int64_t r = 0; r < t->rows; r++) sums[leaf] += (double)t->losses[r];
    }
    return QN_OK;
}

static qn_status gather(qn_training *t, const void *mine, uint64_t bytes, void *all)
{
    int ticket;
    if (!t->comm) {
        if (all != mine) memcpy(all, mine, bytes);
        return QN_OK;
    }
    QN_TRY(t->comm->all_gather(t->comm, mine, bytes, all, &ticket));
    return t->comm->wait(t->comm, ticket, 0, bytes);
}

/* Losses added leaf after leaf, wherever they were computed; the norm as rank 0 has it, so that
 * devices of different kinds clip alike. */
static qn_status join(qn_training *t, double *loss, double *norm)
{
    size_t one = share_doubles(t);
    double *mine = t->shares + (size_t)t->ranks * one;
    mine[0] = *norm;
    QN_TRY(read_losses(t, mine + 1));
    QN_TRY(gather(t, mine, one * sizeof *mine, t->shares));
    *norm = t->shares[0];
    *loss = 0;
    for (int r = 0; r < t->ranks; r++)
        for (int64_t leaf = first_leaf(t, r); leaf < first_leaf(t, r + 1); leaf++)
            *loss += t->shares[(size_t)r * one + 1 + (size_t)(leaf - first_leaf(t, r))];
    return QN_OK;
}

/* Grows once; the steps after the first allocate nothing. */
static qn_status room_for_norms(qn_training *t, uint64_t bytes)
{
    if (bytes <= t->norms_bytes) return QN_OK;
    free(t->norms);
    t->norms_bytes = 0;
    t->norms = malloc(bytes);
    if (!t->norms) return qn__fail(QN_OS_ERROR, "out of memory");
    t->norms_bytes = bytes;
    return QN_OK;
}

/* Chunk sums joined in tensor order, in doubles. */
static qn_status read_norm(qn_training *t, double *norm)
{
    const qn_store *store = t->store;
    double sum = 0;
    qn_weight weight;
    char name[128];
    int first = -1;
    for (int cursor = 0; qn__trainable_next(&t->config, &t->lora, &cursor, &weight);) {
        int index = qn__store_index(store, prefixed(name, sizeof name, "norm", weight.name));
        const qn_store_tensor *tensor = &store->tensors[index];
        const qn_arenas *arenas = &store->groups[tensor->group].arenas[0];
        if (tensor->arena != first) {
            QN_TRY(room_for_norms(t, arenas->bytes[tensor->arena]));
            QN_TRY(qn__store_read_group(t->store, "norm", tensor->arena, t->norms));
            first = tensor->arena;
        }
        int64_t count = qn_shape_elements(&tensor->desc.shape);
        for (int64_t i = 0; i < count; i++)
            sum += (double)t->norms[tensor->offset / 4 + (uint64_t)i];
    }
    *norm = sqrt(sum);
    return QN_OK;
}

/* Of the whole batch: known from the data, before the forward pass. */
static qn_status count_trained(qn_training *t, int64_t *count)
{
    int64_t mine = 0, *all = (int64_t *)t->shares;
    for (int64_t leaf = 0; leaf < t->leaves; leaf++) {
        const int32_t *targets = t->host[t->turn] + (size_t)leaf * (size_t)t->rows * 2 + t->rows;
        for (int64_t r = 0; r < t->rows; r++) mine += targets[r] >= 0;
    }
    QN_TRY(gather(t, &mine, sizeof mine, all));
    *count = 0;
    for (int r = 0; r < t->ranks; r++) *count += all[r];
    return QN_OK;
}

qn_status qn__training_step(qn_training *t, uint64_t seed, int64_t step, double *loss,
                            double *grad_norm)
{
    int64_t trained;
    QN_TRY(count_trained(t, &trained));
    const int32_t key[4] = {(int32_t)seed, (int32_t)(seed >> 32), (int32_t)step, 0};
    memcpy(t->rounding[t->turn], key, sizeof key);
    float weight = trained > 0 ? (float)(t->loss_scale / (double)trained) : 0.0f;
    for (int64_t r = 0; r < t->rows; r++) t->seed_host[t->turn][r] = weight;
    for (int64_t leaf = 0; leaf < t->leaves; leaf++) QN_TRY(write_leaf(t, leaf, seed, step));
    QN_TRY(qn__leaves_run(t));
    QN_TRY(qn_plan_run(t->norm_plan, QN_ALL, 0, 0));
    QN_TRY(read_norm(t, grad_norm)); /* the step's one wait */
    *grad_norm /= t->loss_scale;
    QN_TRY(join(t, loss, grad_norm));
    if (trained > 0) *loss /= (double)trained;
    return QN_OK;
}

qn_status qn__training_update(qn_training *t, const qn_hyper *hyper)
{
    t->hyper[t->turn] = *hyper;
    t->hyper[t->turn].scale = (float)((double)hyper->scale / t->loss_scale);
    QN_TRY(qn__store_write_later(t->store, qn__store_index(t->store, "train.hyper"),
                                 &t->hyper[t->turn], sizeof *hyper));
    if (qn__training_rounds(t))
        QN_TRY(qn__store_write_later(t->store, qn__store_index(t->store, "train.rounding"),
                                     t->rounding[t->turn], sizeof t->rounding[0]));
    t->turn = 1 - t->turn;
    QN_TRY(qn_plan_run(t->update_plan, QN_ALL, 0, 0));
    return t->shard ? qn__shard_spread(t->shard) : QN_OK;
}

qn_status qn__training_eval(qn_training *t, const int32_t *ids, const int32_t *targets, double *nll,
                            int64_t *count)
{
    size_t bytes = (size_t)t->rows * sizeof *ids;
    QN_TRY(qn__store_select(t->store, "leaf", 0));
    QN_TRY(qn_store_write(t->store, "train.ids", ids, bytes));
    QN_TRY(qn_store_write(t->store, "train.targets", targets, bytes));
    if (t->packed) QN_TRY(write_spans(t, 0));
    QN_TRY(qn_plan_run(t->separate_eval ? t->eval_plan : t->step_plan, QN_FORWARD, 0, 0));
    QN_TRY(qn_store_read(t->store, "train.loss", t->losses, bytes));
    for (int64_t r = 0; r < t->rows; r++) {
        *nll += (double)t->losses[r];
        *count += targets[r] >= 0;
    }
    return QN_OK;
}
