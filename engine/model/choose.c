/* Answering multiple-choice questions: many endings in one run, each a sequence by itself. */
#include "base/check.h"
#include "file/choices.h"
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A batch being filled, and the sums of the questions that are not yet answered. */
typedef struct chooser {
    qn_model *model;
    const qn_choices *choices;
    qn_choose_options options;
    qn_choose_scores *scores;
    int64_t room; /* rows of a batch */
    int64_t rows; /* used */
    int32_t *ids; /* [room] each: */
    int32_t *pos;
    int32_t *targets;
    int32_t *ranges; /* [room, 4] */
    float *losses;
    size_t *owner;   /* the span whose ending a row belongs to */
    double *nll;     /* by span */
    size_t answered; /* questions */
    char prefix[32];
} chooser;

/* ---- the plan ---- */

static const char *named(const chooser *c, const char *ending, char *name, size_t bytes)
{
    snprintf(name, bytes, "%s.%s", c->prefix, ending);
    return name;
}

/* A plan for at least as many rows is used again; its tensors stay in the store. */
static qn_status make_plan(chooser *c)
{
    qn_model *m = c->model;
    char targets[48], loss[48];
    if (m->choose_plan && m->choose_rows >= c->room) c->room = m->choose_rows;
    snprintf(c->prefix, sizeof c->prefix, "choose%lld", (long long)c->room);
    if (m->choose_plan && m->choose_rows == c->room) return QN_OK;
    qn_plan_destroy(&m->choose_plan);
    qn_graph_destroy(&m->choose_graph);
    named(c, "targets", targets, sizeof targets);
    named(c, "loss", loss, sizeof loss);
    qn_shape shape = {.rank = 1, .dim = {c->room}};
    qn_network network = {
        .config = &m->config, .prefix = c->prefix, .rows = true, .lora = &m->lora};
    QN_TRY(qn__network_inputs(m->store, &network, c->room));
    QN_TRY(qn_store_add(m->store, "choose", targets, QN_I32, &shape));
    QN_TRY(qn_store_add(m->store, "choose", loss, QN_F32, &shape));
    QN_TRY(qn_graph_create(m->store, &m->choose_graph));
    network.graph = m->choose_graph;
    qn_tensor *logits = qn__network_head(&network, qn__network_hidden(&network));
    qn_tensor *losses =
        qn_apply(m->choose_graph, "cross_entropy", logits, qn_graph_rows(m->choose_graph, targets));
    qn__network_free(&network);
    QN_TRY(qn_graph_status(m->choose_graph));
    QN_TRY(qn_graph_assign(m->choose_graph, losses, loss));
    m->choose_rows = c->room;
    return qn_plan_create(m->choose_graph, NULL, &m->choose_plan);
}

/* ---- a batch ---- */

static qn_status write_rows(const chooser *c, const char *ending, const int32_t *values)
{
    char name[48];
    int index = qn__store_index(c->model->store, named(c, ending, name, sizeof name));
    return qn__store_write_part(c->model->store, index, 0, values,
                                (uint64_t)c->rows * sizeof *values);
}

static qn_status answer(chooser *c, size_t index)
{
    const qn_question *q = &c->choices->questions[index];
    int32_t tokens[QN_MAX_ENDINGS];
    const double *nll = &c->nll[q->spans + 1];
    qn_answer made = {.size = sizeof made,
                      .label = q->label,
                      .endings = q->endings,
                      .index = (int64_t)index,
                      .nll = nll,
                      .tokens = tokens};
    for (int32_t i = 0; i < q->endings; i++) {
        tokens[i] = c->choices->spans[q->spans + 1 + (size_t)i].count;
        if (!isfinite(nll[i]))
            return qn__fail(QN_NON_FINITE, "question %zu: the model's loss on ending %d is %g",
                            index, i, nll[i]);
        if (nll[i] < nll[made.by_sum]) made.by_sum = i;
        if (nll[i] / tokens[i] < nll[made.by_mean] / tokens[made.by_mean]) made.by_mean = i;
    }
    c->scores->questions++;
    c->scores->right_by_sum += made.by_sum == q->label;
    c->scores->right_by_mean += made.by_mean == q->label;
    c->scores->chance += (1.0 / q->endings - c->scores->chance) / (double)c->scores->questions;
    if (c->options.answer && !c->options.answer(c->options.user, &made))
        return qn__fail(QN_INTERRUPTED, "stopped after question %zu", index);
    return QN_OK;
}

/* Compute what is there; `asked` questions are then complete. */
static qn_status run(chooser *c, size_t asked)
{
    qn_model *m = c->model;
    char loss[48];
    if (c->rows > 0) {
        qn__document_ranges(c->ranges, c->pos, (int)c->rows);
        QN_TRY(write_rows(c, "ids", c->ids));
        QN_TRY(write_rows(c, "pos", c->pos));
        QN_TRY(write_rows(c, "targets", c->targets));
        QN_TRY(
            qn__network_write_ranges(m->store, &m->config, c->prefix, c->ranges, (size_t)c->rows));
        QN_TRY(qn_plan_run(m->choose_plan, QN_FORWARD, c->rows, 0));
        QN_TRY(qn__store_read_part(m->store,
                                   qn__store_index(m->store, named(c, "loss", loss, sizeof loss)),
                                   0, c->losses, (uint64_t)c->rows * sizeof *c->losses));
    }
    for (int64_t r = 0; r < c->rows; r++)
        if (c->targets[r] >= 0) c->nll[c->owner[r]] += (double)c->losses[r];
    c->scores->tokens += c->rows;
    c->rows = 0;
    for (; c->answered < asked; c->answered++) QN_TRY(answer(c, c->answered));
    return QN_OK;
}

/* Context and ending as rows; the last context token and all ending tokens but the last predict. */
static void add_ending(chooser *c, const qn_span *context, size_t span)
{
    const qn_span *ending = &c->choices->spans[span];
    const int32_t *tokens = c->choices->tokens;
    int64_t most = c->model->config.context, kept = context->count;
    if (kept + ending->count - 1 > most) kept = most + 1 - ending->count;
    for (int64_t i = 0; i < kept + ending->count - 1; i++, c->rows++) {
        int64_t next = i + 1 - kept; /* of the ending */
        c->ids[c->rows] = i < kept ? tokens[context->first + (size_t)(context->count - kept + i)]
                                   : tokens[ending->first + (size_t)(i - kept)];
        c->pos[c->rows] = (int32_t)i;
        c->targets[c->rows] = next >= 0 ? tokens[ending->first + (size_t)next] : -1;
        c->owner[c->rows] = span;
    }
}

static int64_t rows_of(const chooser *c, const qn_span *context, const qn_span *ending)
{
    int64_t rows = (int64_t)context->count + ending->count - 1, most = c->model->config.context;
    return rows < most ? rows : most;
}

static qn_status ask(chooser *c, size_t index)
{
    const qn_question *q = &c->choices->questions[index];
    const qn_span *context = &c->choices->spans[q->spans];
    bool shortened = false;
    for (int32_t i = 0; i < q->endings; i++) {
        const qn_span *ending = context + 1 + i;
        int64_t rows = rows_of(c, context, ending);
        if (c->rows + rows > c->room) QN_TRY(run(c, index));
        add_ending(c, context, q->spans + 1 + (size_t)i);
        shortened |= rows < (int64_t)context->count + ending->count - 1;
    }
    c->scores->shortened += shortened;
    return QN_OK;
}

/* ---- all of them ---- */

static qn_status check(const chooser *c, int64_t *longest)
{
    const qn_choices *choices = c->choices;
    const qn_model_config *config = &c->model->config;
    for (size_t i = 0; i < choices->token_count; i++)
        QN_CHECK(choices->tokens[i] >= 0 && choices->tokens[i] < config->vocab,
                 "the questions have token %d, the model's vocabulary %d: they were made with "
                 "another tokenizer",
                 choices->tokens[i], config->vocab);
    *longest = 1;
    for (size_t i = 0; i < choices->count; i++) {
        const qn_question *q = &choices->questions[i];
        const qn_span *context = &choices->spans[q->spans];
        for (int32_t e = 1; e <= q->endings; e++) {
            QN_CHECK(context[e].count <= config->context,
                     "question %zu: an ending of %d tokens does not fit a context of %d", i,
                     context[e].count, config->context);
            int64_t rows = rows_of(c, context, context + e);
            if (rows > *longest) *longest = rows;
        }
    }
    return QN_OK;
}

static qn_status allocate(chooser *c)
{
    size_t room = (size_t)c->room;
    c->ids = malloc(room * 7 * sizeof *c->ids);
    c->losses = malloc(room * sizeof *c->losses);
    c->owner = malloc(room * sizeof *c->owner);
    c->nll = calloc(c->choices->span_count, sizeof *c->nll);
    if (!c->ids || !c->losses || !c->owner || !c->nll)
        return qn__fail(QN_OS_ERROR, "out of memory");
    c->pos = c->ids + room;
    c->targets = c->pos + room;
    c->ranges = c->targets + room;
    return QN_OK;
}

qn_status qn_model_choose(qn_model *model, const qn_choices *choices,
                          const qn_choose_options *options, qn_choose_scores *scores)
{
    chooser c = {.model = model, .choices = choices, .scores = scores};
    int64_t longest = 0;
    *scores = (qn_choose_scores){0};
    if (options)
        QN_CHECK(options->size == sizeof *options,
                 "qn_choose_options.size is %u, this library's is %zu", options->size,
                 sizeof *options);
    if (options) c.options = *options;
    int batch = c.options.batch ? c.options.batch : 8;
    QN_CHECK(batch >= 1 && batch <= 1 << 16, "a batch of %d endings is outside [1, 65536]", batch);
    QN_TRY(check(&c, &longest));
    c.room = longest * batch;
    QN_CHECK(c.room < INT32_MAX / 4, "a batch of %d endings of up to %lld tokens is too large",
             batch, (long long)longest);
    QN_TRY(make_plan(&c));
    QN_TRY(qn_plan_prepare(model->choose_plan));
    qn_status status = allocate(&c);
    for (size_t i = 0; status == QN_OK && i < choices->count; i++) status = ask(&c, i);
    if (status == QN_OK) status = run(&c, choices->count);
    free(c.ids);
    free(c.losses);
    free(c.owner);
    free(c.nll);
    return status;
}
