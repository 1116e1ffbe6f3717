#include "train/record.h"

#include "base/check.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "graph/comm.h"
#include "train/events.h"
#include "train/metrics.h"
#include "train/trainer.h"

#include <quernel/version.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct qn_record {
    qn_metrics *metrics;
    qn_events *events;
};

static void say_once(const char *what)
{
    qn__log(QN_LOG_WARN, "%s; training goes on without %s", qn_last_error(), what);
}

static void drop_metrics(qn_record *record)
{
    say_once("metrics.jsonl");
    qn__metrics_close(&record->metrics);
}

static void drop_events(qn_record *record)
{
    say_once("TensorBoard's files");
    qn__events_close(&record->events);
}

/* ---- run.json ---- */

static json_t *memory_part(const char *name, uint64_t bytes)
{
    return json_pack("{s:s,s:I}", "name", name, "bytes", (json_int_t)bytes);
}

static json_t *memory_json(const qn_trainer *t)
{
    const qn_store *store = t->training->store;
    json_t *parts = json_array();
    uint64_t activations = 0, now;
    for (int g = 0; g < store->group_count; g++) {
        const qn_store_group *group = &store->groups[g];
        uint64_t bytes = 0;
        for (int a = 0; a < group->arenas[0].count; a++) bytes += group->arenas[0].bytes[a];
        json_array_append_new(parts, memory_part(group->name, bytes * (uint64_t)group->copies));
    }
    for (int a = 0; a < store->step_arenas; a++)
        activations += store->step_need[a] * (uint64_t)(store->slots > 1 ? store->slots : 1);
    json_array_append_new(parts, memory_part("activations", activations));
    json_array_append_new(parts, memory_part("workspace", (store->scratch_need + 3) / 4 * 4));
    qn_device_memory(t->device, &now, NULL);
    return json_pack("{s:I,s:I,s:o}", "planned_bytes", (json_int_t)qn__training_bytes(t->training),
                     "used_bytes", (json_int_t)now, "parts", parts);
}

static json_t *run_json(const qn_trainer *t)
{
    const qn_model_config *config = &t->training->config;
    const qn_caps *caps = qn__device_caps(t->device);
    return json_pack("{s:s,s:I,s:I,s:f,s:f,s:I,s:I,s:I,s:o,s:o}", "quernel", qn_version_string(),
                     "parameters", (json_int_t)qn_model_parameters(config), "trained_parameters",
                     (json_int_t)qn__trainable_parameters(config, &t->training->lora),
                     "flops_per_token",
                     qn__run_flops_per_token(config, &t->training->lora, t->training->length),
                     "peak_gflops", qn__run_peak_gflops(caps, t->training->type), "tokens_per_step",
                     (json_int_t)(t->training->batch * t->training->length), "micro_batch",
                     (json_int_t)t->training->micro, "vocab", (json_int_t)config->vocab, "memory",
                     memory_json(t), "device", qn__caps_to_json(caps));
}

static qn_status write_run(const qn_trainer *t)
{
    char *path = qn__path_join(t->options->out, "run.json");
    json_t *json = run_json(t);
    qn_status status =
        path && json ? qn__json_save(path, json) : qn__fail(QN_OS_ERROR, "out of memory");
    json_decref(json);
    free(path);
    return status;
}

/* ---- the configuration as a text of TensorBoard ---- */

/* "|" and line ends would break the table; backslashes and backquotes the code in its cells. */
static void add_cell(qn_str *to, const char *text)
{
    qn__str_add(to, " ");
    for (; *text; text++) {
        if (strchr("|\\`*_<>[]", *text)) qn__str_add(to, "&#%d;", *text);
        else qn__str_add_bytes(to, (unsigned char)*text < ' ' ? " " : text, 1);
    }
    qn__str_add(to, " |");
}

static void add_rows(qn_str *to, const json_t *object)
{
    void *at = json_object_iter((json_t *)(uintptr_t)object);
    for (; at; at = json_object_iter_next((json_t *)(uintptr_t)object, at)) {
        const json_t *value = json_object_iter_value(at);
        if (json_is_object(value) || json_is_array(value)) continue;
        char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
        qn__str_add(to, "\n|");
        add_cell(to, json_object_iter_key(at));
        add_cell(to, text ? text : json_is_string(value) ? json_string_value(value) : "");
        free(text);
    }
}

static void add_table(qn_events *events, const char *tag, json_t *object)
{
    qn_str table = {0};
    qn__str_add(&table, "| key | value |\n|---|---|");
    add_rows(&table, object);
    qn__events_text(events, tag, qn__str_text(&table));
    qn__str_free(&table);
    json_decref(object);
}

static qn_status begin_events(const qn_trainer *t, qn_events **events)
{
    QN_TRY(qn__events_open(t->options->out, t->step, events));
    qn__events_begin(*events, t->step);
    add_table(*events, "configuration", qn__train_options_to_json(t->options));
    add_table(*events, "device", qn__caps_to_json(qn__device_caps(t->device)));
    add_table(*events, "run", run_json(t));
    qn_status status = qn__events_write(*events);
    if (status != QN_OK) qn__events_close(events);
    return status;
}

/* Literal text: a code block, each line of it indented. */
static void add_sample(qn_events *events, const char *sample)
{
    qn_str text = {0};
    qn__str_add(&text, "    ");
    for (const char *c = sample; *c; c++) {
        qn__str_add_bytes(&text, c, 1);
        if (*c == '\n') qn__str_add(&text, "    ");
    }
    qn__events_text(events, "sample", qn__str_text(&text));
    qn__str_free(&text);
}

/* ---- the whole record ---- */

void qn__record_open(const qn_trainer *t, qn_record **record)
{
    *record = NULL;
    if (!*t->options->out || t->comm->rank != 0) return;
    qn_record *made = calloc(1, sizeof *made);
    if (!made) return;
    if (qn__metrics_open(t->options->out, t->step, &made->metrics) != QN_OK)
        say_once("metrics.jsonl");
    if (write_run(t) != QN_OK) say_once("run.json");
    if (t->options->tensorboard && begin_events(t, &made->events) != QN_OK)
        say_once("TensorBoard's files");
    *record = made;
}

void qn__record_step(qn_record *record, const qn_step_info *info)
{
    if (!record) return;
    if (record->metrics && qn__metrics_add(record->metrics, info) != QN_OK) drop_metrics(record);
    if (!record->events) return;
    qn_metric metric;
    qn__events_begin(record->events, info->step);
    for (int i = 0; qn__metric(info, i, &metric); i++)
        if (metric.tag && metric.there) qn__events_scalar(record->events, metric.tag, metric.value);
    if (info->sample) add_sample(record->events, info->sample);
    if (qn__events_write(record->events) != QN_OK) drop_events(record);
}

void qn__record_sync(qn_record *record)
{
    if (record && record->metrics && qn__metrics_sync(record->metrics) != QN_OK)
        drop_metrics(record);
}

void qn__record_close(qn_record **record)
{
    if (!*record) return;
    qn__metrics_close(&(*record)->metrics);
    qn__events_close(&(*record)->events);
    free(*record);
    *record = NULL;
}
