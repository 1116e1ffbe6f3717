#include "graph/plan.h"

#include "base/check.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- shapes for a number of rows ---- */

static qn_status view_rows(const qn_plan *plan, const qn_node *node)
{
    const qn_desc *from = &plan->descs[node->in[0]];
    qn_desc *to = &plan->descs[node->out[0]];
    *to = plan->graph->tensors[node->out[0]]->desc;
    int64_t before = qn_shape_elements(&plan->graph->tensors[node->in[0]]->desc.shape);
    int64_t now = qn_shape_elements(&from->shape);
    if (now == before) return QN_OK;
    if (to->shape.rank < 1 || to->shape.dim[0] * now % before != 0)
        return qn__fail(QN_UNSUPPORTED, "a reshape does not keep the run-time dimension first");
    to->shape.dim[0] = to->shape.dim[0] * now / before;
    return QN_OK;
}

static qn_status node_rows(const qn_plan *plan, const qn_node *node)
{
    qn_call call;
    if (node->op == QN_RESHAPE) return view_rows(plan, node);
    if (node->op < 0) {
        plan->descs[node->out[0]] = plan->descs[node->in[0]];
        return QN_OK;
    }
    if (node->backward) { /* gradients look like what they are gradients of */
        for (int i = 0; i < QN_OP_MAX_IN; i++)
            if (node->din[i] >= 0) plan->descs[node->din[i]].shape = plan->descs[node->in[i]].shape;
        return QN_OK;
    }
    qn__node_call(plan->graph, node, &call);
    for (int i = 0; i < QN_OP_MAX_IN; i++)
        if (node->in[i] >= 0) call.in[i].desc = plan->descs[node->in[i]];
    QN_TRY(qn__call_shape(&call));
    for (int o = 0; o < QN_OP_MAX_OUT; o++)
        if (node->out[o] >= 0) plan->descs[node->out[o]] = call.out[o].desc;
    return QN_OK;
}

/* The shape rules say again what follows from the inputs; done only when the number changes. */
qn_status qn__plan_set_rows(qn_plan *plan, int64_t rows)
{
    const qn_graph *graph = plan->graph;
    for (int i = 0; i < graph->tensor_count; i++) {
        plan->descs[i] = graph->tensors[i]->desc;
        if (graph->tensors[i]->rows) plan->descs[i].shape.dim[0] = rows;
    }
    if (rows != graph->rows)
        for (int i = 0; i < graph->node_count; i++) QN_TRY(node_rows(plan, &graph->nodes[i]));
    plan->rows = rows;
    return QN_OK;
}

/* ---- making a plan ---- */

static void forget_programs(qn_plan *plan)
{
    for (int i = 0; i < plan->program_count; i++) free(plan->programs[i]);
    plan->program_count = 0;
}

static void free_plan(qn_plan *plan)
{
    for (int i = 0; i < plan->step_count; i++) {
        qn__exec_free(&plan->steps[i].exec);
        qn__transfer_forget(&plan->steps[i].transfer);
    }
    forget_programs(plan);
    free(plan->programs);
    free(plan->variant);
    free(plan->steps);
    free(plan->places);
    free(plan->descs);
    free(plan->staging);
    free(plan);
}

void qn_plan_destroy(qn_plan **plan)
{
    if (*plan) free_plan(*plan);
    *plan = NULL;
}

static void record(void *user, const char *file, const char *options, const char *kernel)
{
    qn_plan *plan = user;
    char key[640];
    (void)kernel;
    plan->facts.kernels++;
    snprintf(key, sizeof key, "%s %s", file, options);
    for (int i = 0; i < plan->program_count; i++)
        if (strcmp(plan->programs[i], key) == 0) return;
    if (plan->program_count == plan->program_capacity) {
        int capacity = plan->program_capacity ? plan->program_capacity * 2 : 64;
        char **more = realloc(plan->programs, (size_t)capacity * sizeof *more);
        if (!more) return;
        plan->programs = more;
        plan->program_capacity = capacity;
    }
    char *copy = strdup(key);
    if (copy) plan->programs[plan->program_count++] = copy;
}

const qn_tuning *qn__plan_entries(const qn_plan *plan)
{
    const qn_store *store = plan->store;
    if (plan->tune == QN_TUNE_OFF || plan->variant) return NULL;
    return store->caps.tuning || !store->device ? store->caps.tuning : qn__tuned(store->device);
}

static qn_status choose(qn_plan *plan, qn_step *step)
{
    qn__node_call(plan->graph, &step->node, &step->call);
    if (plan->variant && qn__call_choose(&step->call, plan->variant) == QN_OK) return QN_OK;
    return qn__call_choose_tuned(&step->call, NULL, qn__plan_entries(plan), &step->tuned);
}

static qn_status launch(qn_exec *exec, const qn_call *call)
{
    return call->backward ? call->op->bwd(exec, call) : call->op->fwd(exec, call);
}

static qn_status choose_step(qn_plan *plan, qn_step *step)
{
    if (step->node.op < 0) {
        qn__node_call(plan->graph, &step->node, &step->call);
        plan->facts.bytes += 2.0 * (double)qn__desc_bytes(&step->call.in[0].desc);
        return QN_OK;
    }
    QN_TRY(choose(plan, step));
    qn_call *call = &step->call;
    step->planned = call->setting;
    uint64_t scratch = call->variant->scratch ? call->variant->scratch(call) : 0;
    if (scratch > plan->scratch_bytes) plan->scratch_bytes = scratch;
    if (scratch > plan->store->caps.max_alloc_bytes)
        return qn__fail(QN_OUT_OF_DEVICE_MEMORY,
                        "a workspace of %.1f MB is larger than the device gives at once",
                        (double)scratch / 1e6);
    if (qn__log_wanted(QN_LOG_VERBOSE)) {
        char text[512], choice[QN_TUNING_TEXT];
        qn__log(QN_LOG_VERBOSE, "%s -> %s", qn__call_text(call, text, sizeof text),
                qn__call_choice_text(call, choice, sizeof choice));
    }
    qn_exec recorder = {.record = record, .record_user = plan};
    QN_TRY(launch(&recorder, call));
    qn_cost cost = qn__call_cost(call);
    const qn_caps *caps = &plan->store->caps;
    double peak = qn__call_peak(call);
    double flops_s = peak > 0 ? cost.flops / peak : 0;
    double bytes_s = caps->peak_gbytes > 0 ? cost.bytes / (caps->peak_gbytes * 1e9) : 0;
    plan->facts.flops += cost.flops;
    plan->facts.bytes += cost.bytes;
    if (!step->node.again && (step->node.op == QN_OP_MATMUL || step->node.op == QN_OP_ATTENTION))
        plan->facts.matrix_flops += cost.flops;
    plan->facts.predicted_seconds += (flops_s > bytes_s ? flops_s / 0.85 : bytes_s / 0.7) + 5e-6;
    return QN_OK;
}

/* Copy the living nodes, reshapes left out. */
static qn_status take_nodes(qn_plan *plan, const qn_plan_options *options)
{
    qn_graph *graph = plan->graph;
    int count = graph->node_count;
    qn_node *nodes = malloc(((size_t)count + 1) * sizeof *nodes);
    if (!nodes) return qn__fail(QN_OS_ERROR, "out of memory");
    if (count) memcpy(nodes, graph->nodes, (size_t)count * sizeof *nodes);
    qn__pass_drop_dead(graph, nodes, count);
    qn_status status = qn__pass_recompute(graph, options->recompute, &nodes, &count);
    plan->steps = calloc((size_t)count + 1, sizeof *plan->steps);
    plan->places = calloc((size_t)graph->tensor_count + 1, sizeof *plan->places);
    plan->descs = calloc((size_t)graph->tensor_count + 1, sizeof *plan->descs);
    if (status == QN_OK && (!plan->steps || !plan->places || !plan->descs))
        status = qn__fail(QN_OS_ERROR, "out of memory");
    if (status != QN_OK) {
        free(nodes);
        return status;
    }
    if (!options->keep_unfused) qn__pass_fuse(graph, nodes, count);
    plan->first_backward = -1;
    for (int i = 0; i < count; i++) {
        if (nodes[i].dead || nodes[i].op == QN_RESHAPE) continue;
        if (nodes[i].in_backward && plan->first_backward < 0)
            plan->first_backward = plan->step_count;
        plan->steps[plan->step_count++].node = nodes[i];
    }
    if (plan->first_backward < 0) plan->first_backward = plan->step_count;
    free(nodes);
    return QN_OK;
}

static void share_needs(qn_plan *plan)
{
    qn_store *store = plan->store;
    if (plan->slots > store->slots) store->slots = plan->slots;
    if (plan->arenas.count > store->step_arenas) store->step_arenas = plan->arenas.count;
    for (int a = 0; a < plan->arenas.count; a++)
        if (plan->arenas.bytes[a] > store->step_need[a])
            store->step_need[a] = plan->arenas.bytes[a];
}

qn_status qn__plan_choose(qn_plan *plan)
{
    qn_plan_facts *f = &plan->facts;
    QN_TRY(qn__plan_set_rows(plan, plan->graph->rows));
    forget_programs(plan);
    plan->scratch_bytes = 0;
    f->kernels = 0;
    f->flops = f->bytes = f->matrix_flops = f->predicted_seconds = 0;
    for (int i = 0; i < plan->step_count; i++) {
        plan->steps[i].exec.bound_count = 0;
        QN_TRY(choose_step(plan, &plan->steps[i]));
    }
    f->programs = plan->program_count;
    f->scratch_bytes = plan->scratch_bytes;
    if (plan->scratch_bytes > plan->store->scratch_need)
        plan->store->scratch_need = plan->scratch_bytes;
    plan->generation = 0;
    return QN_OK;
}

static qn_status take_options(qn_plan *plan, const qn_plan_options *options)
{
    plan->slots = options->slots > 1 ? options->slots : 1;
    plan->tune_seconds = options->tune_seconds > 0 ? options->tune_seconds : 30;
    QN_TRY(qn__tune_mode(options->tune, &plan->tune));
    plan->variant = options->variant ? strdup(options->variant) : NULL;
    return plan->variant || !options->variant ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
}

qn_status qn_plan_create(qn_graph *graph, const qn_plan_options *options, qn_plan **plan)
{
    static const qn_plan_options defaults = {.size = sizeof defaults};
    *plan = NULL;
    if (!options) options = &defaults;
    QN_CHECK(options->size == sizeof *options, "qn_plan_options.size is %u, this library's is %zu",
             options->size, sizeof *options);
    QN_TRY(qn_graph_status(graph));
    qn_plan *p = calloc(1, sizeof *p);
    if (!p) return qn__fail(QN_OS_ERROR, "out of memory");
    p->graph = graph;
    p->store = graph->store;
    qn_status status = take_options(p, options);
    if (status == QN_OK) status = take_nodes(p, options);
    if (status == QN_OK) status = qn__plan_choose(p);
    if (status == QN_OK) status = qn__plan_place(p);
    if (status == QN_OK) qn__plan_link_transfers(p);
    if (status != QN_OK) {
        free_plan(p);
        return status;
    }
    p->facts.nodes = p->step_count;
    for (int a = 0; a < p->arenas.count; a++)
        p->facts.step_bytes += p->arenas.bytes[a] * (uint64_t)p->slots;
    share_needs(p);
    *plan = p;
    return QN_OK;
}

void qn_plan_facts_get(const qn_plan *plan, qn_plan_facts *facts)
{
    const qn_store *store = plan->store;
    *facts = plan->facts;
    facts->store_bytes = qn__store_bytes(store);
    facts->total_bytes = facts->store_bytes + (store->scratch_need + 3) / 4 * 4;
    for (int a = 0; a < store->step_arenas; a++)
        facts->total_bytes += store->step_need[a] * (uint64_t)(store->slots > 1 ? store->slots : 1);
}

/* ---- running ---- */

static qn_operand locate(const qn_plan *plan, int id, int slot)
{
    if (id < 0) return (qn_operand){0};
    const qn_tensor *tensor = plan->graph->tensors[id];
    qn_operand operand = {.there = true, .desc = plan->descs[id]};
    if (tensor->store >= 0) {
        const qn_store_tensor *stored = &plan->store->tensors[tensor->store];
        operand.buffer = qn__store_buffer_at(plan->store, stored, tensor->copy);
        operand.offset = stored->offset + tensor->offset;
    } else if (plan->places[tensor->root].used) {
        const qn_place *place = &plan->places[tensor->root];
        operand.buffer = plan->store->step[slot * 64 + place->arena];
        operand.offset = place->offset + tensor->offset;
    }
    return operand;
}

/* Point every call at its memory for this slot and number of rows. */
static qn_status aim(qn_plan *plan, int64_t rows, int slot)
{
    bool other_rows = rows != plan->rows;
    if (other_rows) QN_TRY(qn__plan_set_rows(plan, rows));
    for (int i = 0; i < plan->step_count; i++) {
        qn_step *step = &plan->steps[i];
        const qn_node *node = &step->node;
        qn_call *call = &step->call;
        for (int t = 0; t < QN_OP_MAX_IN; t++) call->in[t] = locate(plan, node->in[t], slot);
        for (int t = 0; t < QN_OP_MAX_OUT; t++) call->out[t] = locate(plan, node->out[t], slot);
        for (int t = 0; t < QN_OP_MAX_OUT; t++) call->dout[t] = locate(plan, node->dout[t], slot);
        for (int t = 0; t < QN_OP_MAX_IN; t++) call->din[t] = locate(plan, node->din[t], slot);
        call->scratch =
            (qn_operand){.there = plan->store->scratch != NULL, .buffer = plan->store->scratch};
        if (other_rows) step->exec.bound_count = 0; /* another shape may want other kernels */
    }
    if (other_rows && !plan->variant) QN_TRY(qn__plan_reset_settings(plan, rows));
    plan->slot = slot;
    plan->generation = plan->store->generation;
    return QN_OK;
}

qn_status qn_plan_prepare(qn_plan *plan)
{
    QN_CHECK(plan->store->device != NULL, "this plan was made without a device: it cannot run");
    if (plan->tune == QN_TUNE_ON && !plan->prepared) QN_TRY(qn__plan_tune_missing(plan));
    QN_TRY(qn_store_allocate(plan->store));
    QN_TRY(qn__store_share(plan->store));
    if (!plan->prepared) {
        plan->tag_base = plan->store->next_tag;
        plan->store->next_tag += plan->step_count;
    }
    for (int i = 0; i < plan->step_count; i++)
        plan->steps[i].exec = (qn_exec){.device = plan->store->device,
                                        .tag = plan->tag_base + i,
                                        .bound = plan->steps[i].exec.bound,
                                        .bound_capacity = plan->steps[i].exec.bound_capacity};
    plan->prepared = true;
    plan->generation = 0;
    return QN_OK;
}

/* Make derived tensors again whose source was written since. */
static qn_status refresh_derived(qn_store *store)
{
    for (int i = 0; i < store->tensor_count; i++) {
        qn_store_tensor *tensor = &store->tensors[i];
        if (tensor->source < 0 || tensor->source_version == store->tensors[tensor->source].version)
            continue;
        const qn_store_tensor *source = &store->tensors[tensor->source];
        qn_call call = {.caps = &store->caps};
        qn_op_id id;
        QN_TRY(qn__op_parse(tensor->packer, &id, call.attr, NULL));
        call.op = qn__op(id);
        call.in[0] =
            (qn_operand){true, source->desc, qn__store_buffer(store, source), source->offset};
        QN_TRY(qn__call_shape(&call));
        call.out[0] =
            (qn_operand){true, tensor->desc, qn__store_buffer(store, tensor), tensor->offset};
        QN_TRY(qn__call_run(store->device, &call));
        tensor->source_version = source->version;
    }
    return QN_OK;
}

static void mark_written(void *user, int id, bool write)
{
    qn_plan *plan = user;
    int index = plan->graph->tensors[id]->store;
    if (write && index >= 0) plan->store->tensors[index].version++;
}

/* A derived tensor that a node writes together with its source is up to date (AdamW's copy). */
static void mark_fresh(void *user, int id, bool write)
{
    qn_plan *plan = user;
    int index = plan->graph->tensors[id]->store;
    if (!write || index < 0 || plan->store->tensors[index].source < 0) return;
    qn_store_tensor *derived = &plan->store->tensors[index];
    derived->source_version = plan->store->tensors[derived->source].version;
}

static qn_status run_step(qn_plan *plan, qn_step *step)
{
    if (step->node.op == QN_OP_COMM) return qn__step_communicate(plan, step);
    if (step->node.op < 0) return qn__step_transfer(plan, step);
    if (plan->transfers) QN_TRY(qn__step_wait(plan, step));
    return launch(&step->exec, &step->call);
}

void qn__plan_watch(qn_plan *plan, qn_status (*after_step)(void *user, int step), void *user)
{
    plan->after_step = after_step;
    plan->after_user = user;
}

qn_status qn_plan_run(qn_plan *plan, qn_plan_part part, int64_t rows, int slot)
{
    if (!plan->prepared) QN_TRY(qn_plan_prepare(plan));
    QN_TRY(qn__store_share(plan->store));
    if (rows <= 0) rows = plan->graph->rows;
    QN_CHECK(rows <= plan->graph->rows, "%lld rows; the plan was made for at most %lld",
             (long long)rows, (long long)plan->graph->rows);
    QN_CHECK(slot >= 0 && slot < plan->slots, "slot %d; the plan has %d", slot, plan->slots);
    if (rows != plan->rows || slot != plan->slot || plan->generation != plan->store->generation)
        QN_TRY(aim(plan, rows, slot));
    QN_TRY(refresh_derived(plan->store));
    if (plan->transfers) QN_TRY(qn__transfer_after_compute(plan->store->device));
    int from = part == QN_BACKWARD ? plan->first_backward : 0;
    int to = part == QN_FORWARD ? plan->first_backward : plan->step_count;
    for (int i = from; i < to; i++) {
        qn_step *step = &plan->steps[i];
        step->exec.cursor = 0;
        qn_status status = run_step(plan, step);
        if (status != QN_OK) {
            char text[512];
            return qn__wrap(status, "%s: ", qn__step_text(step, text, sizeof text));
        }
        step->runs++;
        qn__node_each(&step->node, mark_written, plan);
        qn__node_each(&step->node, mark_fresh, plan);
        if (plan->after_step) QN_TRY(plan->after_step(plan->after_user, i));
    }
    if (plan->transfers) QN_TRY(qn__compute_after_transfers(plan->store->device));
    return qn__device_flush(plan->store->device);
}
