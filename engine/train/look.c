/* `quernel plan`: what a run will use, before it runs. */
#include "base/check.h"
#include "ops/choice.h"
#include "train/reduce.h"
#include "train/shard.h"
#include "train/trainer.h"

#include <stdlib.h>
#include <string.h>

/* What was timed there comes with the record, if anything was. */
static qn_status read_tuning(const json_t *record, const char *path, qn_caps *caps,
                             qn_tuning **tuning)
{
    const json_t *entries = json_object_get(record, "tuning");
    QN_TRY(qn__tuning_create(tuning));
    if (entries) QN_TRY(qn__tuning_from_json(*tuning, entries, path));
    qn__tuning_check(*tuning, caps, path);
    caps->tuning = *tuning;
    return QN_OK;
}

/* A record by itself, or the default one of a whole `quernel devices --json`. */
static qn_status read_record(const char *path, qn_caps *caps, qn_tuning **tuning)
{
    json_t *root;
    int64_t index = 0;
    QN_TRY(qn__json_load(path, &root));
    const json_t *record = root, *list = json_object_get(root, "devices");
    qn_status status = qn__json_i64(root, path, "default", false, 0, 1 << 20, &index);
    if (status == QN_OK && json_is_array(list)) record = json_array_get(list, (size_t)index);
    if (status == QN_OK) status = qn__caps_from_json(record, path, caps);
    if (status == QN_OK) status = read_tuning(record, path, caps, tuning);
    json_decref(root);
    return status;
}

static qn_status local_record(qn_caps *caps, qn_tuning **tuning)
{
    qn_device *device;
    char *json;
    QN_TRY(qn_device_open(NULL, &device));
    qn_status status =
        qn_device_record(device, &json); /* measures peaks once, if they are not known */
    if (status == QN_OK) {
        *caps = *qn__device_caps(device);
        qn_free(json);
    }
    qn_device_close(&device);
    if (status == QN_OK) status = qn__tuning_create(tuning);
    char *path = status == QN_OK ? qn__tuning_path(caps) : NULL;
    if (path) {
        qn__tuning_load(*tuning, path);
        qn__tuning_check(*tuning, caps, path);
        caps->tuning = *tuning;
    }
    free(path);
    return status;
}

typedef struct description {
    const qn_caps *caps;
    char **json;
} description;

static qn_status describe(void *user, qn_training *t)
{
    const description *of = user;
    const qn_caps *caps = of->caps;
    char *text;
    json_t *root = NULL;
    qn_plan *plans[QN_STEP_PLANS];
    int64_t runs[QN_STEP_PLANS];
    int count = qn__training_plans(t, plans, runs);
    qn_plan_facts facts;
    double seconds = 0;
    uint64_t sent;
    QN_TRY(qn__reduce_traffic(t, t->rank, &sent));
    QN_TRY(qn_plan_json(t->step_plan, &text));
    qn_status status = qn__json_parse(text, strlen(text), "plan", &root);
    qn_free(text);
    QN_TRY(status);
    json_t *programs = json_object_get(root, "programs");
    json_int_t tuned = json_integer_value(json_object_get(root, "tuned_nodes"));
    for (int i = 0; i < count; i++) {
        qn_plan_facts_get(plans[i], &facts);
        seconds += facts.predicted_seconds * (double)runs[i];
        if (i == 0) continue;
        json_t *more = NULL;
        QN_TRY(qn_plan_json(plans[i], &text));
        if (qn__json_parse(text, strlen(text), "plan", &more) == QN_OK) {
            json_array_extend(programs, json_object_get(more, "programs"));
            json_array_extend(json_object_get(root, "nodes"), json_object_get(more, "nodes"));
            tuned += json_integer_value(json_object_get(more, "tuned_nodes"));
        }
        json_decref(more);
        qn_free(text);
    }
    json_object_set_new(root, "device", json_string(caps->name));
    json_object_set_new(root, "parameters", json_integer(qn_model_parameters(&t->config)));
    json_object_set_new(root, "trained_parameters",
                        json_integer(qn__trainable_parameters(&t->config, &t->lora)));
    json_object_set_new(root, "micro_batch", json_integer(t->micro));
    json_object_set_new(root, "micro_batches", json_integer(t->leaves));
    if (t->ranks > 1) {
        json_object_set_new(root, "ranks", json_integer(t->ranks));
        json_object_set_new(root, "sent_bytes",
                            json_integer((json_int_t)(sent + qn__shard_traffic(t, t->rank))));
    }
    json_object_set_new(root, "tuned_nodes", json_integer(tuned));
    json_object_set_new(root, "tuning_entries",
                        json_integer(caps->tuning ? qn__tuning_count(caps->tuning) : 0));
    json_object_set_new(root, "predicted_step_seconds", json_real(seconds));
    *of->json = json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
    json_decref(root);
    return *of->json ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
}

qn_status qn_train_plan(const qn_train_options *options, const char *record_path, char **json)
{
    qn_caps caps;
    qn_tuning *tuning = NULL;
    *json = NULL;
    qn_status status =
        record_path ? read_record(record_path, &caps, &tuning) : local_record(&caps, &tuning);
    description of = {&caps, json};
    if (status == QN_OK) status = qn__trainer_try(options, NULL, &caps, describe, &of);
    qn__tuning_destroy(&tuning);
    return status;
}
