#include "graph/tune.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what plan.c needs ---- */

void qn__plan_call(const qn_plan *plan, const qn_step *step, qn_call *call)
{
    const qn_node *node = &step->node;
    qn__node_call(plan->graph, node, call);
    for (int t = 0; t < QN_OP_MAX_IN; t++) {
        if (node->in[t] >= 0) call->in[t].desc = plan->descs[node->in[t]];
        if (node->din[t] >= 0) call->din[t].desc = plan->descs[node->din[t]];
    }
    for (int t = 0; t < QN_OP_MAX_OUT; t++) {
        if (node->out[t] >= 0) call->out[t].desc = plan->descs[node->out[t]];
        if (node->dout[t] >= 0) call->dout[t].desc = plan->descs[node->dout[t]];
    }
}

qn_status qn__plan_reset_settings(qn_plan *plan, int64_t rows)
{
    const qn_tuning *entries = qn__plan_entries(plan);
    bool some = entries && qn__tuning_count(entries) > 0;
    int64_t timed_rows = 1;
    while (timed_rows < rows) timed_rows *= 2;
    if (timed_rows > plan->graph->rows) timed_rows = plan->graph->rows;
    if (some) QN_TRY(qn__plan_set_rows(plan, timed_rows));
    for (int i = 0; i < plan->step_count; i++) {
        qn_call timed;
        if (plan->steps[i].node.op < 0) continue;
        plan->steps[i].call.setting = plan->steps[i].planned;
        if (some) qn__plan_call(plan, &plan->steps[i], &timed);
        qn__call_reset(&plan->steps[i].call, some ? &timed : NULL, entries, plan->scratch_bytes);
    }
    return some ? qn__plan_set_rows(plan, rows) : QN_OK;
}

qn_status qn__plan_tune_missing(qn_plan *plan)
{
    const qn_tune_options options = {.size = sizeof options, .budget_seconds = plan->tune_seconds};
    char *report;
    QN_TRY(qn_plan_tune(plan, &options, &report));
    qn__log(QN_LOG_VERBOSE, "tuned: %s", report);
    qn_free(report);
    return QN_OK;
}

/* ---- tuning ---- */

static const double default_budget = 60;

/* A call to be timed: one for all steps that share its line. */
typedef struct item {
    char *line;
    qn_call call;
    int count; /* steps of the plans */
    int candidates;
    double work; /* predicted seconds of all of them, a row where rows vary */
    bool timed;
    qn_tuned entry;
} item;

typedef struct work {
    const qn_tuner *tuner;
    item *items;
    int count, capacity;
    double start, budget;
    qn_tune_info info;
    bool stopped;
} work;

static double now(const work *w)
{
    return w->tuner->now ? w->tuner->now(w->tuner->user) : qn__seconds();
}

/* ---- which calls ---- */

static double predict(const qn_caps *caps, const qn_call *call)
{
    qn_cost cost = qn__call_cost(call);
    double peak = qn__call_peak(call);
    double flops_s = peak > 0 ? cost.flops / peak : 0;
    double bytes_s = caps->peak_gbytes > 0 ? cost.bytes / (caps->peak_gbytes * 1e9) : 0;
    double s = flops_s > bytes_s ? flops_s : bytes_s;
    return s > 0 ? s : cost.flops * 1e-12 + cost.bytes * 1e-11;
}

static item *find_item(work *w, const char *line)
{
    for (int i = 0; i < w->count; i++)
        if (strcmp(w->items[i].line, line) == 0) return &w->items[i];
    return NULL;
}

static qn_status add_call(work *w, const qn_call *call, double per_row)
{
    char line[512];
    qn_choice list[QN_MAX_CHOICES];
    qn_tuned entry;
    int candidates = qn__call_candidates(call, list);
    if (candidates < 2) return QN_OK;
    qn__call_text(call, line, sizeof line);
    if (!w->tuner->options.again && qn__tuning_find(w->tuner->tuning, line, &entry)) return QN_OK;
    item *known = find_item(w, line);
    double seconds = predict(call->caps, call) / per_row;
    if (known) {
        known->count++;
        known->work += seconds;
        return QN_OK;
    }
    if (w->count == w->capacity) {
        int capacity = w->capacity ? w->capacity * 2 : 64;
        item *more = realloc(w->items, (size_t)capacity * sizeof *more);
        if (!more) return qn__fail(QN_OS_ERROR, "out of memory");
        w->items = more;
        w->capacity = capacity;
    }
    char *copy = strdup(line);
    if (!copy) return qn__fail(QN_OS_ERROR, "out of memory");
    w->items[w->count++] =
        (item){.line = copy, .call = *call, .count = 1, .candidates = candidates, .work = seconds};
    w->info.candidates += candidates;
    return QN_OK;
}

static qn_status add_steps(work *w, const qn_plan *plan, double per_row)
{
    for (int i = 0; i < plan->step_count; i++) {
        qn_call call;
        if (plan->steps[i].node.op < 0) continue;
        qn__plan_call(plan, &plan->steps[i], &call);
        QN_TRY(add_call(w, &call, per_row));
    }
    return QN_OK;
}

/* A run-time dimension: one row, powers of two of rows, all rows. */
static qn_status add_plan(work *w, qn_plan *plan)
{
    int64_t before = plan->rows, all = plan->graph->rows;
    qn_status status = QN_OK;
    if (all <= 0) return add_steps(w, plan, 1);
    for (int64_t rows = 1; status == QN_OK; rows *= 2) {
        int64_t here = rows < all ? rows : all;
        status = qn__plan_set_rows(plan, here);
        if (status == QN_OK) status = add_steps(w, plan, (double)here);
        if (here == all) break;
    }
    qn_status back = qn__plan_set_rows(plan, before);
    return status == QN_OK ? back : status;
}

static int by_work(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->work != y->work) return x->work < y->work ? 1 : -1;
    return strcmp(x->line, y->line);
}

/* ---- timing them ---- */

/* Says where it stands; true: go on. */
static bool tell(work *w)
{
    const qn_tune_options *o = &w->tuner->options;
    double all = 0, done = 0;
    w->info.spent = now(w) - w->start;
    for (int i = 0; i < w->count; i++) {
        all += w->items[i].candidates;
        if (i < w->info.done) done += w->items[i].candidates;
    }
    double left = w->info.done ? w->info.spent * (all - done) / done : NAN;
    if (left > w->budget - w->info.spent) left = w->budget - w->info.spent;
    w->info.left = left < 0 ? 0 : left;
    if (o->progress && !o->progress(o->user, &w->info)) w->stopped = true;
    return !w->stopped;
}

typedef struct timing {
    work *work;
} timing;

static bool over(void *user)
{
    work *w = ((const timing *)user)->work;
    return !tell(w) || w->info.spent >= w->budget;
}

static qn_status invented(void *user, const qn_call *call, const qn_choice *choice, double *seconds)
{
    const qn_tuner *tuner = ((const timing *)user)->work->tuner;
    return tuner->timing(tuner->user, call, choice, seconds);
}

/* A call whose default fails by itself (no memory for it, say) is left as it is. */
static qn_status time_one(work *w, item *one)
{
    timing user = {w};
    bool finished;
    const qn_timer timer = {.device = w->tuner->device,
                            .timing = w->tuner->timing ? invented : NULL,
                            .over = over,
                            .user = &user};
    if (qn__call_tune(&timer, &one->call, &one->entry, &finished) != QN_OK) {
        qn__log(QN_LOG_VERBOSE, "%s is not tuned: %s", one->line, qn_last_error());
        return QN_OK;
    }
    if (!finished) return QN_OK;
    one->timed = true;
    QN_TRY(qn__tuning_set(w->tuner->tuning, one->line, &one->entry));
    if (w->tuner->path &&
        qn__tuning_keep(w->tuner->tuning, w->tuner->path, w->tuner->caps) != QN_OK)
        qn__log(QN_LOG_WARN, "tuning entries are not kept: %s", qn_last_error());
    return QN_OK;
}

static qn_status time_all(work *w)
{
    qn_status status = QN_OK;
    if (w->count) qsort(w->items, (size_t)w->count, sizeof *w->items, by_work);
    w->info.calls = w->count;
    w->info.budget = w->budget;
    bool go_on = tell(w);
    for (int i = 0; status == QN_OK && go_on && i < w->count; i++) {
        w->info.line = w->items[i].line;
        status = time_one(w, &w->items[i]);
        if (w->stopped || now(w) - w->start >= w->budget) go_on = false;
        else w->info.done++;
    }
    w->info.line = NULL;
    if (!w->stopped) tell(w);
    return status;
}

/* ---- the report ---- */

static json_t *row_of(const qn_caps *caps, const item *one)
{
    qn_cost cost = qn__call_cost(&one->call);
    double s = one->entry.choice_ms > 0 ? one->entry.choice_ms * 1e-3 : 1e-12;
    double peak = qn__call_peak(&one->call);
    double flops = peak > 0 ? cost.flops / s / peak : 0;
    double bytes = caps->peak_gbytes > 0 ? cost.bytes / s / (caps->peak_gbytes * 1e9) : 0;
    return json_pack("{s:s,s:i,s:s,s:f,s:s,s:f,s:f,s:s}", "case", one->line, "count", one->count,
                     "default", one->entry.preset, "default_ms", one->entry.preset_ms, "choice",
                     one->entry.choice, "best_ms", one->entry.choice_ms, "percent_of_peak",
                     100 * (flops >= bytes ? flops : bytes), "bound",
                     flops >= bytes ? "compute" : "memory");
}

static json_t *describe(const work *w)
{
    const qn_tuner *t = w->tuner;
    json_t *rows = json_array();
    int timed = 0, replaced = 0;
    for (int i = 0; i < w->count; i++) {
        if (!w->items[i].timed) continue;
        timed++;
        replaced += strcmp(w->items[i].entry.choice, w->items[i].entry.preset) != 0;
        json_array_append_new(rows, row_of(t->caps, &w->items[i]));
    }
    return json_pack("{s:s,s:s?,s:f,s:f,s:i,s:i,s:i,s:i,s:i,s:b,s:o}", "device", t->caps->name,
                     "file", t->path, "budget_seconds", w->budget, "spent_seconds",
                     now(w) - w->start, "calls", w->count, "candidates", w->info.candidates,
                     "timed", timed, "replaced", replaced, "left", w->count - timed, "stopped",
                     w->stopped, "entries", rows);
}

qn_status qn__plans_tune(const qn_tuner *tuner, qn_plan *const *plans, int count, json_t **report)
{
    work w = {.tuner = tuner, .budget = tuner->options.budget_seconds};
    qn_status status = QN_OK;
    if (!(w.budget > 0)) w.budget = default_budget;
    w.start = now(&w);
    for (int i = 0; status == QN_OK && i < count; i++)
        if (plans[i]) status = add_plan(&w, plans[i]);
    if (status == QN_OK) status = time_all(&w);
    if (status == QN_OK && report && !(*report = describe(&w)))
        status = qn__fail(QN_OS_ERROR, "out of memory");
    for (int i = 0; i < w.count; i++) free(w.items[i].line);
    free(w.items);
    return status;
}

/* ---- on the plans' own device ---- */

qn_status qn__plans_tune_here(qn_plan *const *plans, int count, const qn_tune_options *options,
                              char **json)
{
    static const qn_tune_options defaults = {.size = sizeof defaults};
    json_t *report = NULL;
    *json = NULL;
    if (!options) options = &defaults;
    QN_CHECK(options->size == sizeof *options, "qn_tune_options.size is %u, this library's is %zu",
             options->size, sizeof *options);
    qn_device *device = plans[0]->store->device;
    QN_CHECK(device != NULL, "tuning times kernels: it needs a device that is there");
    const qn_caps *caps = qn__device_caps(device);
    qn_tuner tuner = {
        .device = device, .caps = caps, .tuning = qn__tuned(device), .options = *options};
    if (!tuner.tuning) return qn__fail(QN_OS_ERROR, "out of memory");
    char *path = qn__tuning_path(caps);
    tuner.path = path;
    qn_status status = qn__plans_tune(&tuner, plans, count, &report);
    free(path);
    for (int i = 0; status == QN_OK && i < count; i++)
        if (plans[i]) status = qn__plan_choose(plans[i]);
    if (status == QN_OK) *json = json_dumps(report, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
    json_decref(report);
    if (status == QN_OK && !*json) status = qn__fail(QN_OS_ERROR, "out of memory");
    return status;
}

qn_status qn_plan_tune(qn_plan *plan, const qn_tune_options *options, char **json)
{
    return qn__plans_tune_here(&plan, 1, options, json);
}
