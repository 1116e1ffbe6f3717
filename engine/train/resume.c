/* Checkpoints of a run: weights, moments, and where it stands. */
#include "base/check.h"
#include "base/log.h"
#include "file/checkpoint.h"
#include "model/weights.h"
#include "train/shard.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Walks the tensors of a payload, which are those that are trained: weights by their own name,
 * moments as m.<name>, v.<name>. */
static bool next_tensor(const qn_training *training, bool moments, int *cursor, int *half,
                        char *name, size_t bytes, qn_shape *shape)
{
    qn_weight weight;
    int at = *cursor;
    if (!qn__trainable_next(&training->config, &training->lora, &at, &weight)) return false;
    if (!moments) snprintf(name, bytes, "%s", weight.name);
    else snprintf(name, bytes, "%c.%s", *half ? 'v' : 'm', weight.name);
    *shape = weight.shape;
    if (moments) *half = 1 - *half;
    if (!moments || *half == 0) *cursor = at;
    return true;
}

/* As the store has it: bf16 moments take half the room in files, too. */
static qn_dtype type_of(const qn_training *training, const char *name)
{
    int index = qn__store_index(training->store, name); /* other ranks may have it */
    return index < 0 ? training->moments : training->store->tensors[index].desc.dtype;
}

/* A whole tensor, wherever it is. Collective for moments that ranks share out. */
static qn_status read_tensor(const qn_training *t, bool moments, int number, const char *name,
                             void *values, size_t bytes)
{
    if (moments && t->shard) return qn__shard_read(t->shard, name, number, values);
    return qn_store_read(t->store, name, values, bytes);
}

/* writer NULL: only give other ranks what they lack. */
static qn_status write_payload(qn_trainer *t, qn_checkpoint_writer *writer, bool moments)
{
    const qn_training *training = t->training;
    qn_safetensors_writer *payload = NULL;
    qn_shape shape;
    char name[128];
    int cursor = 0, half = 0;
    qn_status status =
        writer ? qn__checkpoint_payload(
                     writer, moments ? "optimizer.safetensors" : "weights.safetensors", &payload)
               : QN_OK;
    while (status == QN_OK && writer &&
           next_tensor(training, moments, &cursor, &half, name, sizeof name, &shape))
        status = qn__safetensors_writer_declare(payload, name, type_of(training, name), &shape);
    cursor = half = 0;
    bool together = moments && training->shard; /* then also when nothing can be written */
    int number = 0;
    while ((status == QN_OK || together) &&
           next_tensor(training, moments, &cursor, &half, name, sizeof name, &shape)) {
        size_t bytes =
            (size_t)qn_shape_elements(&shape) * (size_t)qn_dtype_bytes(type_of(training, name));
        void *values = malloc(bytes + 1);
        qn_status read = values ? read_tensor(training, moments, number, name, values, bytes)
                                : qn__fail(QN_OS_ERROR, "out of memory");
        if (read != QN_OK && together) t->comm->give_up(t->comm);
        if (status == QN_OK) status = read;
        if (status == QN_OK && writer)
            status = qn__safetensors_writer_add(payload, name, values, bytes);
        free(values);
        number += half == 0;
        if (read != QN_OK) break;
    }
    if (!writer) return status;
    if (status == QN_OK) return qn__checkpoint_payload_end(writer, &payload);
    qn__safetensors_writer_destroy(&payload);
    return status;
}

/* Sum orders of a step's plans: a new reference, NULL when out of memory. */
static json_t *orders_of(const qn_trainer *t)
{
    qn_plan *plans[QN_STEP_PLANS];
    int64_t runs[QN_STEP_PLANS];
    int count = qn__training_plans(t->training, plans, runs);
    json_t *orders = json_object();
    bool good = orders != NULL;
    for (int i = 0; good && i < count; i++) good = qn__plan_orders(plans[i], orders);
    if (good) return orders;
    json_decref(orders);
    return NULL;
}

bool qn__trainer_same_orders(const qn_trainer *t, const json_t *state)
{
    json_t *now = orders_of(t), *value;
    const json_t *then = json_object_get(state, "sum_orders");
    const char *op;
    bool same = true;
    json_object_foreach(now, op, value)
    {
        const char *was = json_string_value(json_object_get(then, op));
        if (!was || strcmp(was, json_string_value(value)) == 0) continue;
        qn__log(QN_LOG_WARN,
                "%s added in order %s when this run was saved, and adds in order %s on %s: the "
                "losses agree within rounding, not bit for bit",
                op, was, json_string_value(value), qn_device_name(t->device));
        same = false;
    }
    json_decref(now);
    return same;
}

static json_t *state_of(const qn_trainer *t)
{
    json_t *state = json_pack(
        "{s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:o,s:s}", "step", (json_int_t)t->step, "micro_batch",
        (json_int_t)t->training->micro, "seed", (json_int_t)t->options->seed, "updates",
        (json_int_t)t->updates, "non_finite_in_a_row", (json_int_t)t->skips.in_a_row, "loss_window",
        qn__outliers_to_json(&t->skips.loss), "norm_window", qn__outliers_to_json(&t->skips.norm),
        "sum_orders", orders_of(t), "device", qn_device_name(t->device));
    if (!state) return NULL;
    json_object_set_new(state, "best_val",
                        isnan(t->best_val) ? json_null() : json_real(t->best_val));
    json_object_set_new(state, "val_loss",
                        isnan(t->val_loss) ? json_null() : json_real(t->val_loss));
    json_object_set_new(state, "options", qn__train_options_to_json(t->options));
    json_object_set_new(state, "config", qn__config_to_json(&t->training->config));
    if (t->training->lora.rank > 0)
        json_object_set_new(state, "lora", qn__start_to_json(&t->start));
    json_object_set_new(state, "loss_scale", qn__loss_scale_to_json(&t->loss_scale));
    json_t *data = NULL;
    if (qn__data_state(&t->data, &data) == QN_OK) json_object_set_new(state, "data", data);
    return state;
}

qn_status qn__trainer_checkpoint(qn_trainer *t)
{
    qn_checkpoint_writer *writer = NULL;
    if (t->comm->rank != 0) return t->training->shard ? write_payload(t, NULL, true) : QN_OK;
    qn_status status = qn__checkpoint_begin(t->options->out, t->step, &writer);
    if (status == QN_OK) status = write_payload(t, writer, false);
    if (status == QN_OK) status = write_payload(t, writer, true);
    else if (t->training->shard) { /* others wait for it */ char message[1024];
        snprintf(message, sizeof message, "%s", qn_last_error());
        (void)!write_payload(t, NULL, true);
        status = qn__fail(status, "%s", message);
    }
    if (status != QN_OK && !writer) return status;
    if (status != QN_OK) {
        qn__checkpoint_abort(&writer);
        return status;
    }
    json_t *state = state_of(t);
    status = state ? qn__checkpoint_commit(&writer, state) : qn__fail(QN_OS_ERROR, "out of memory");
    if (!state) qn__checkpoint_abort(&writer);
    json_decref(state);
    if (status == QN_OK)
        status = qn__checkpoint_trim(t->options->out, (int)t->options->keep,
                                     t->options->keep_best ? "val_loss" : NULL);
    return status;
}

/* ---- resuming ---- */

/* Keys that must be as they were, or the run would be another one. */
static const char *const fixed_keys[] = {
    "arch",    "lora_rank", "lora_alpha", "lora_targets", "lora_dropout", "head_size",
    "window",  "layers",    "heads",      "kv_heads",     "embed",        "ffn",
    "no_bias", "untied",    "norm_eps",   "rope_theta",   "context",      "batch",
    "seed",    "dropout",   "precision",  "master",       "moments",      "sum_order"};

static qn_status check_same(const qn_trainer *t, const json_t *state, const char *folder)
{
    qn_train_options *defaults = NULL;
    QN_TRY(qn_train_options_create(&defaults));
    json_t *now = qn__train_options_to_json(t->options),
           *fallback = qn__train_options_to_json(defaults);
    qn_train_options_destroy(&defaults);
    const json_t *then = json_object_get(state, "options");
    qn_status status = now && fallback ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
    for (size_t i = 0; status == QN_OK && i < sizeof fixed_keys / sizeof fixed_keys[0]; i++) {
        const json_t *a = json_object_get(now, fixed_keys[i]),
                     *b = json_object_get(then, fixed_keys[i]);
        if (!b) b = json_object_get(fallback, fixed_keys[i]); /* a key newer than the checkpoint */
        if (json_equal(a, b)) continue;
        char *was = b ? json_dumps(b, JSON_ENCODE_ANY) : NULL, *is = json_dumps(a, JSON_ENCODE_ANY);
        status = qn__fail(
            QN_BAD_ARGUMENT,
            "%s was made with %s = %s, this run has %s: change it back, or use another --out",
            folder, fixed_keys[i], was ? was : "nothing", is ? is : "?");
        free(was);
        free(is);
    }
    json_decref(now);
    json_decref(fallback);
    return status;
}

/* Is the model of this run the checkpoint's? json NULL: an old one that does not say. */
static qn_status check_config(const qn_trainer *t, const json_t *json, const char *folder)
{
    qn_model_config then, now = t->training->config;
    if (!json) return QN_OK;
    QN_TRY(qn__config_from_json(json, folder, &then));
    then.bos = now.bos; /* of the tokenizer */
    then.eos = now.eos;
    json_t *a = qn__config_to_json(&then), *b = qn__config_to_json(&now), *value;
    qn_status status = a && b ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
    const char *key;
    json_object_foreach(b, key, value)
    {
        if (status != QN_OK || json_equal(value, json_object_get(a, key))) continue;
        status = qn__fail(QN_BAD_ARGUMENT,
                          "%s is of a model with another %s than this run's: begin with it by "
                          "--model instead of --resume, or make them the same",
                          folder, key);
    }
    json_decref(a);
    json_decref(b);
    return status;
}

static qn_status read_payload(qn_trainer *t, const qn_checkpoint *checkpoint, bool moments)
{
    const char *file_name = moments ? "optimizer.safetensors" : "weights.safetensors";
    const qn_safetensors *file = qn__checkpoint_file(checkpoint, file_name);
    const char *folder = qn__checkpoint_folder(checkpoint);
    qn_shape shape;
    char name[128];
    int cursor = 0, half = 0, number = 0;
    if (!file) return qn__fail(QN_BAD_DATA, "%s: %s is missing", folder, file_name);
    while (next_tensor(t->training, moments, &cursor, &half, name, sizeof name, &shape)) {
        const qn_range *range = qn__safetensors_find(file, name);
        qn_desc desc;
        if (!range)
            return qn__fail(QN_BAD_DATA, "%s/%s: tensor %s is missing", folder, file_name, name);
        QN_TRY(qn__range_desc(range, file_name, &desc));
        if (desc.dtype != type_of(t->training, name) || !qn_shape_equal(&desc.shape, &shape))
            return qn__fail(QN_BAD_DATA,
                            "%s/%s: tensor %s has another type or shape than the model", folder,
                            file_name, name);
        if (moments && t->training->shard)
            QN_TRY(qn__shard_write(t->training->shard, name, number, range->data));
        else QN_TRY(qn_store_write(t->training->store, name, range->data, range->bytes));
        number += half == 0;
    }
    return QN_OK;
}

static qn_status load(qn_trainer *t, const qn_checkpoint *checkpoint)
{
    const json_t *state = qn__checkpoint_state(checkpoint);
    const char *folder = qn__checkpoint_folder(checkpoint);
    int64_t micro = 0;
    bool begun = json_object_get(state, "options") != NULL; /* else it was converted */
    if (begun) QN_TRY(check_same(t, state, folder));
    QN_TRY(check_config(t, json_object_get(state, "config"), folder));
    QN_TRY(qn__start_check(&t->start, json_object_get(state, "lora"), folder));
    QN_TRY(qn__data_check_state(&t->data, json_object_get(state, "data"), folder));
    QN_TRY(qn__json_i64(state, folder, "step", true, 0, INT64_MAX / 2, &t->step));
    micro = t->training->micro;
    QN_TRY(qn__json_i64(state, folder, "micro_batch", begun, 1, 1 << 20, &micro));
    QN_TRY(qn__json_f64(state, folder, "best_val", false, &t->best_val));
    QN_TRY(qn__json_f64(state, folder, "val_loss", false, &t->val_loss));
    t->updates = t->step; /* checkpoints of before steps were skipped */
    QN_TRY(qn__json_i64(state, folder, "updates", false, 0, t->step, &t->updates));
    QN_TRY(
        qn__json_i64(state, folder, "non_finite_in_a_row", false, 0, t->step, &t->skips.in_a_row));
    QN_TRY(qn__outliers_from_json(&t->skips.loss, state, folder, "loss_window"));
    QN_TRY(qn__outliers_from_json(&t->skips.norm, state, folder, "norm_window"));
    QN_TRY(qn__loss_scale_from_json(&t->loss_scale, state, folder));
    if (micro != t->training->micro)
        qn__log(QN_LOG_WARN,
                "the micro-batch was %lld and is now %lld: the sums of this run round differently",
                (long long)micro, (long long)t->training->micro);
    (void)qn__trainer_same_orders(t, state);
    QN_TRY(read_payload(t, checkpoint, false));
    return begun ? read_payload(t, checkpoint, true) : QN_OK;
}

qn_status qn__trainer_saved_micro(const qn_train_options *options, int64_t *micro)
{
    qn_checkpoint *checkpoint;
    *micro = 0;
    QN_TRY(qn__checkpoint_open_newest(options->out, false, &checkpoint));
    if (!checkpoint) return QN_OK;
    qn_status status =
        qn__json_i64(qn__checkpoint_state(checkpoint), qn__checkpoint_folder(checkpoint),
                     "micro_batch", false, 1, 1 << 20, micro);
    qn__checkpoint_close(&checkpoint);
    return status;
}

qn_status qn__trainer_resume(qn_trainer *t)
{
    qn_checkpoint *checkpoint;
    QN_TRY(qn__checkpoint_open_newest(t->options->out, true, &checkpoint));
    if (!checkpoint) {
        qn__log(QN_LOG_INFO, "%s has no checkpoint yet: starting from the beginning",
                t->options->out);
        return QN_OK;
    }
    qn_status status = load(t, checkpoint);
    if (status == QN_OK) qn__log(QN_LOG_INFO, "continuing after step %lld", (long long)t->step);
    qn__checkpoint_close(&checkpoint);
    return status;
}
