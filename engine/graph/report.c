/* What a plan says of itself: memory, nodes, and where the time went. */
#include "graph/plan.h"

#include "base/check.h"
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

static json_t *integer(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *tensor_list(const qn_plan *plan)
{
    json_t *list = json_array();
    char desc[96];
    for (int i = 0; i < plan->store->tensor_count; i++) {
        const qn_store_tensor *t = &plan->store->tensors[i];
        const qn_store_group *group = &plan->store->groups[t->group];
        json_array_append_new(
            list, json_pack("{s:s,s:s,s:s,s:o,s:i,s:o,s:i}", "name", t->name, "arena", group->name,
                            "type", qn__desc_text(&t->desc, desc, sizeof desc), "bytes",
                            integer(qn__desc_bytes(&t->desc)), "part", t->arena, "offset",
                            integer(t->offset), "copies", group->copies));
    }
    for (int i = 0; i < plan->graph->tensor_count; i++) {
        const qn_place *place = &plan->places[i];
        char name[32], text[512];
        if (!place->used) continue;
        snprintf(name, sizeof name, "t%d", i);
        json_array_append_new(
            list,
            json_pack("{s:s,s:s,s:s,s:o,s:i,s:o,s:[i,i],s:s}", "name", name, "arena", "step",
                      "type", qn__desc_text(&plan->graph->tensors[i]->desc, desc, sizeof desc),
                      "bytes", integer(place->bytes), "part", place->arena, "offset",
                      integer(place->offset), "life", place->first, place->last, "made_by",
                      qn__step_text(&plan->steps[place->first], text, sizeof text)));
    }
    return list;
}

static json_t *arena_list(const qn_plan *plan)
{
    json_t *list = json_array();
    const qn_store *store = plan->store;
    for (int g = 0; g < store->group_count; g++)
        for (int a = 0; a < store->groups[g].arenas[0].count; a++)
            json_array_append_new(
                list, json_pack("{s:s,s:o,s:i,s:b}", "name", store->groups[g].name, "bytes",
                                integer(store->groups[g].arenas[0].bytes[a]), "copies",
                                store->groups[g].copies, "host", store->groups[g].host));
    for (int a = 0; a < store->step_arenas; a++)
        json_array_append_new(list, json_pack("{s:s,s:o,s:i}", "name", "step", "bytes",
                                              integer(store->step_need[a]), "copies",
                                              store->slots > 1 ? store->slots : 1));
    json_array_append_new(list, json_pack("{s:s,s:o,s:i}", "name", "scratch", "bytes",
                                          integer((store->scratch_need + 3) / 4 * 4), "copies", 1));
    return list;
}

qn_status qn_plan_json(const qn_plan *plan, char **json)
{
    qn_plan_facts facts;
    char text[1024];
    qn_plan_facts_get(plan, &facts);
    json_t *nodes = json_array(), *programs = json_array();
    int tuned = 0;
    for (int i = 0; i < plan->step_count; i++) {
        const qn_step *step = &plan->steps[i];
        char choice[QN_TUNING_TEXT] = "host";
        if (step->call.variant) qn__call_choice_text(&step->call, choice, sizeof choice);
        json_array_append_new(
            nodes, json_pack("{s:s,s:s,s:s,s:b}", "case", qn__step_text(step, text, sizeof text),
                             "variant", step->call.variant ? step->call.variant->name : "host",
                             "choice", choice, "tuned", step->tuned));
        tuned += step->tuned;
    }
    for (int i = 0; i < plan->program_count; i++)
        json_array_append_new(programs, json_string(plan->programs[i]));
    json_t *root = json_pack(
        "{s:o,s:o,s:o,s:o,s:o,s:f,s:f,s:f,s:o,s:o,s:o,s:o}", "total_bytes",
        integer(facts.total_bytes), "store_bytes", integer(facts.store_bytes), "step_bytes",
        integer(facts.step_bytes), "scratch_bytes", integer(facts.scratch_bytes), "host_bytes",
        integer(qn__store_host_bytes(plan->store)), "flops", facts.flops, "bytes_moved",
        facts.bytes, "predicted_seconds", facts.predicted_seconds, "arenas", arena_list(plan),
        "programs", programs, "nodes", nodes, "tensors", tensor_list(plan));
    json_object_set_new(root, "tune", json_string(qn__tune_mode_name(plan->tune)));
    json_object_set_new(root, "tuned_nodes", json_integer(tuned));
    *json = root ? json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER) : NULL;
    json_decref(root);
    return *json ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
}

bool qn__plan_orders(const qn_plan *plan, json_t *orders)
{
    static const char *const names[] = {[QN_CHAIN] = "chain",
                                        [QN_LANES64] = "lanes64",
                                        [QN_MMA] = "mma",
                                        [QN_OWN] = "own",
                                        [QN_EXACT] = "exact",
                                        [QN_MMA32] = "mma32"};
    for (int i = 0; i < plan->step_count; i++) {
        const qn_call *call = &plan->steps[i].call;
        if (!call->variant) continue;
        const char *stem = qn__op_row(qn__op_id(call->op))->stem;
        const char *name = names[call->variant->order];
        const char *before = json_string_value(json_object_get(orders, stem));
        if (before && strcmp(before, name) != 0) name = "mixed";
        if (json_object_set_new(orders, stem, json_string(name)) != 0) return false;
    }
    return true;
}

/* ---- profile ---- */

typedef struct op_time {
    char name[32];
    double seconds, flops, bytes;
    double at_peak; /* seconds these flops take at the peaks of what computed them */
    int64_t calls;
} op_time;

typedef struct plan_list {
    qn_plan **plans;
    int count;
} plan_list;

static void add_time(void *user, int tag, double seconds)
{
    const plan_list *list = user;
    for (int i = 0; i < list->count; i++) {
        qn_plan *plan = list->plans[i];
        int step = tag - plan->tag_base;
        if (plan->prepared && step >= 0 && step < plan->step_count)
            plan->steps[step].seconds += seconds;
    }
}

static int by_seconds(const void *a, const void *b)
{
    double x = ((const op_time *)a)->seconds, y = ((const op_time *)b)->seconds;
    return (x < y) - (x > y);
}

/* Add a plan's steps to the rows of their ops. */
static int collect(const qn_plan *plan, op_time *rows, int count)
{
    for (int i = 0; i < plan->step_count; i++) {
        const qn_step *step = &plan->steps[i];
        char name[32];
        int r = 0;
        if (step->node.op < 0) continue;
        snprintf(name, sizeof name, "%s%s", qn__op_row((qn_op_id)step->node.op)->stem,
                 step->node.backward      ? ".bwd"
                 : step->node.in_backward ? "(bwd)"
                                          : "");
        while (r < count && strcmp(rows[r].name, name) != 0) r++;
        if (r == count) {
            rows[count++] = (op_time){0};
            memcpy(rows[r].name, name, sizeof name);
        }
        qn_cost cost = qn__call_cost(&step->call);
        rows[r].seconds += step->seconds;
        rows[r].flops += cost.flops * (double)step->runs;
        double peak = qn__call_peak(&step->call);
        if (peak > 0) rows[r].at_peak += cost.flops / peak * (double)step->runs;
        rows[r].bytes += cost.bytes * (double)step->runs;
        rows[r].calls += step->runs;
    }
    return count;
}

static json_t *row_json(const op_time *row, const qn_caps *caps)
{
    double s = row->seconds > 0 ? row->seconds : 1e-12;
    double flops_part = row->at_peak / s;
    double bytes_part = caps->peak_gbytes > 0 ? row->bytes / s / (caps->peak_gbytes * 1e9) : 0;
    bool compute = flops_part >= bytes_part;
    return json_pack("{s:s,s:I,s:f,s:f,s:f,s:f,s:s}", "op", row->name, "calls",
                     (json_int_t)row->calls, "seconds", row->seconds, "gflops",
                     row->flops / s * 1e-9, "gbytes_per_s", row->bytes / s * 1e-9,
                     "percent_of_peak", 100.0 * (compute ? flops_part : bytes_part), "bound",
                     compute ? "compute" : "memory");
}

qn_status qn__plans_profile(qn_plan **plans, int plan_count, char **json)
{
    qn_device *device = plans[0]->store->device;
    int steps = 0, count = 0;
    QN_CHECK(device && qn__device_profiles(device),
             "profiling needs a device opened with qn_device_options.profile");
    plan_list all = {plans, plan_count};
    QN_TRY(qn__device_times(device, add_time, &all));
    for (int i = 0; i < plan_count; i++) steps += plans[i]->step_count;
    op_time *rows = calloc((size_t)steps + 1, sizeof *rows);
    if (!rows) return qn__fail(QN_OS_ERROR, "out of memory");
    for (int i = 0; i < plan_count; i++) count = collect(plans[i], rows, count);
    qsort(rows, (size_t)count, sizeof *rows, by_seconds);
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, row_json(&rows[i], &plans[0]->store->caps));
    free(rows);
    *json = json_dumps(list, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
    json_decref(list);
    return *json ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
}

qn_status qn_plan_profile(qn_plan *plan, char **json)
{
    return qn__plans_profile(&plan, 1, json);
}
