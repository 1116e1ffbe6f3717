#include "train/trainer.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "device/tuning.h"
#include "model/weights.h"
#include "train/metrics.h"
#include "train/replicas.h"
#include "train/timeline.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- making a trainer ---- */

/* Percentages and predictions need the device's peaks: measured once a device and driver. */
static qn_status know_peaks(qn_device *device, qn_work_fn progress, void *user)
{
    qn_peaks peaks;
    if (qn__device_caps(device)->peak_gflops > 0) return QN_OK;
    if (progress && !progress(user, "measuring the device", 0, 1))
        return qn__fail(QN_INTERRUPTED, "stopped");
    return qn_device_measure(device, &peaks);
}

/* All that is this rank's own affair, until it knows what it would train. */
static qn_status set_up(qn_trainer *t, qn_work_fn progress, void *user)
{
    const qn_train_options *o = t->options;
    QN_TRY(qn__schedule_check(o));
    QN_TRY(qn__start_tokenizer(t->options));
    QN_TRY(know_peaks(t->device, progress, user));
    QN_TRY(qn__data_open(o, progress, user, &t->data));
    return qn__start_open(o, t->data.tokenizer, &t->start);
}

static qn_status prepare(qn_trainer *t, qn_work_fn progress, void *user)
{
    const qn_train_options *o = t->options;
    t->loss_scale = qn__loss_scale_start(t->training->type, o->loss_scale);
    size_t rows = (size_t)t->training->rows;
    t->ids = malloc((rows * 3 + 1) * sizeof *t->ids);
    if (!t->ids) return qn__fail(QN_OS_ERROR, "out of memory");
    t->targets = t->ids + rows;
    t->positions = t->targets + rows;
    QN_TRY(qn__sample_text_create(o, t->data.tokenizer, &t->sample_text));
    qn_tune_mode tune;
    QN_TRY(qn__tune_mode(o->tune, &tune));
    const char *what = tune == QN_TUNE_ON ? "timing and building kernels" : "building kernels";
    if (progress && !progress(user, what, 0, 1)) return qn__fail(QN_INTERRUPTED, "stopped");
    QN_TRY(qn__training_prepare(t->training));
    QN_TRY(qn__start_weights(&t->start, o, t->training->store));
    qn__start_close(&t->start);
    if (!*o->out) return QN_OK;
    t->tokenizer_path = qn__path_join(o->out, "tokenizer.json");
    if (t->comm->rank != 0) return QN_OK;
    QN_TRY(qn__make_folders(o->out));
    qn__folder_sweep(o->out);
    return QN_OK;
}

/* All ranks must go on from the same step. Collective. */
static qn_status resume(qn_trainer *t)
{
    const qn_train_options *o = t->options;
    if (!*o->out) return QN_OK;
    qn_status status = o->resume ? qn__trainer_resume(t) : QN_OK;
    int64_t of_first = t->step;
    QN_TRY(t->comm->agree(t->comm, status));
    QN_TRY(qn__broadcast(t->comm, &of_first, sizeof of_first));
    if (of_first != t->step)
        status = qn__fail(QN_BAD_ARGUMENT,
                          "%s holds step %lld here, and step %lld on rank 0: it must be on a file "
                          "system that all machines share",
                          o->out, (long long)t->step, (long long)of_first);
    else if (t->comm->rank == 0) status = qn__skips_cut(o->out, t->step);
    return t->comm->agree(t->comm, status);
}

/* What a person needs to repeat the run, and the tokenizer, before the first step. */
static qn_status write_start(const qn_trainer *t)
{
    if (!*t->options->out || t->comm->rank != 0) return QN_OK;
    char *path = qn__path_join(t->options->out, "train.json");
    json_t *json = qn__train_options_to_json(t->options);
    qn_status status =
        path && json ? qn__json_save(path, json) : qn__fail(QN_OS_ERROR, "out of memory");
    json_decref(json);
    free(path);
    if (status == QN_OK) status = qn_tokenizer_save(t->data.tokenizer, t->options->out);
    return status == QN_OK ? qn__start_copy_tokenizer(t->options) : status;
}

/* Where all ranks must be through before one goes on, they agree. Collective. */
static qn_status create(qn_trainer *t, qn_work_fn progress, void *user)
{
    QN_TRY(qn__comm_create(&t->comm));
    qn_status status = qn__trainer_limits(t);
    if (status == QN_OK) status = set_up(t, progress, user);
    QN_TRY(t->comm->agree(t->comm, status));
    QN_TRY(qn__trainer_fit_together(t));
    QN_TRY(t->comm->agree(t->comm, prepare(t, progress, user)));
    QN_TRY(resume(t));
    QN_TRY(t->comm->agree(t->comm, write_start(t)));
    return qn__timeline_begin(t);
}

qn_status qn_trainer_create(const qn_train_options *options, qn_device *device, qn_work_fn progress,
                            void *user, qn_trainer **trainer)
{
    *trainer = NULL;
    qn_trainer *t = calloc(1, sizeof *t);
    if (!t) return qn__fail(QN_OS_ERROR, "out of memory");
    t->device = device;
    t->best_val = t->val_loss = NAN;
    qn_status status = qn__train_options_copy(options, &t->options);
    if (status == QN_OK) status = create(t, progress, user);
    if (status != QN_OK) qn_trainer_destroy(&t);
    *trainer = t;
    return status;
}

void qn_trainer_destroy(qn_trainer **trainer)
{
    qn_trainer *t = *trainer;
    if (!t) return;
    if (t->trace) t->comm->observe(t->comm, NULL, NULL);
    qn__training_destroy(&t->training);
    qn__trace_destroy(&t->trace);
    qn__start_close(&t->start);
    qn__data_close(&t->data);
    qn_train_options_destroy(&t->options);
    free(t->ids);
    free(t->tokenizer_path);
    qn__sample_text_destroy(&t->sample_text);
    qn__record_close(&t->record);
    if (t->comm) t->comm->destroy(&t->comm);
    free(t);
    *trainer = NULL;
}

const char *qn_trainer_tokenizer_path(const qn_trainer *trainer)
{
    return trainer->tokenizer_path;
}

/* ---- a step ---- */

static qn_status load_leaf(qn_trainer *t, int64_t leaf)
{
    int64_t context = t->options->context, micro = t->training->micro;
    int64_t first = (t->training->first_leaf + leaf) * micro;
    for (int64_t s = 0; s < micro; s++) {
        int64_t at = s * context;
        QN_TRY(qn__samples_of_step(&t->data.train.samples, t->step, t->options->batch, first + s,
                                   t->ids + at, t->targets + at, t->positions + at));
    }
    qn__training_set_leaf(t->training, leaf, t->ids, t->targets);
    qn__training_set_positions(t->training, leaf, t->positions);
    return QN_OK;
}

static qn_hyper hyper_of(const qn_trainer *t, double grad_norm)
{
    const qn_train_options *o = t->options;
    double n = (double)(t->updates + 1), scale = 1;
    if (o->grad_clip > 0 && grad_norm > o->grad_clip) scale = o->grad_clip / (grad_norm + 1e-6);
    return (qn_hyper){.lr = (float)qn__learning_rate(o, t->step),
                      .beta1 = (float)o->beta1,
                      .beta2 = (float)o->beta2,
                      .eps = (float)o->adam_eps,
                      .weight_decay = (float)o->weight_decay,
                      .correction1 = (float)(1 / (1 - pow(o->beta1, n))),
                      .correction2 = (float)(1 / (1 - pow(o->beta2, n))),
                      .scale = (float)scale};
}

static void fill_info(const qn_trainer *t, double loss, double norm, const qn_hyper *hyper,
                      double took, qn_step_info *info)
{
    const qn_caps *caps = qn__device_caps(t->device);
    double tokens = (double)(t->options->batch * t->options->context);
    double flops = qn__training_flops(t->training);
    *info =
        (qn_step_info){.size = sizeof *info,
                       .step = t->step,
                       .steps = t->options->steps,
                       .loss = loss,
                       .grad_norm = norm,
                       .lr = (double)hyper->lr,
                       .seconds = took,
                       .tokens_per_s = tokens / took,
                       .val_loss = NAN,
                       .skipped = t->skips.why[0] ? t->skips.why : NULL,
                       .mfu = NAN,
                       .sent_bytes = NAN,
                       .loss_scale = t->training->type == QN_F16 ? t->training->loss_scale : NAN};
    const qn_training *training = t->training;
    double peak = qn__run_peak_gflops(caps, training->type) * 1e9;
    if (peak > 0) { /* of this device; of all, taken to be like it */
        info->percent_of_peak = 100 * flops / took / peak;
        info->mfu = tokens / took / peak / training->ranks *
                    qn__run_flops_per_token(&training->config, &training->lora, training->length);
    }
    info->seconds_left = t->step_seconds * (double)(t->options->steps - t->step);
    qn_device_memory(t->device, &info->device_bytes, NULL);
}

/* May this step's update be made? Every rank sees the same loss and norm, and comes to the same
 * answer. */
static qn_status judge(qn_trainer *t, double loss, double norm, bool *good)
{
    const qn_train_options *o = t->options;
    const qn_skip_limits limits = {o->skip_loss_z, o->skip_grad_z, o->max_skips};
    double z[2];
    qn_status mine = QN_OK;
    bool overflow = isfinite(loss) && !isfinite(norm) && qn__loss_scale_can_fall(&t->loss_scale);
    z[0] = z[1] = NAN;
    if (overflow)
        snprintf(t->skips.why, sizeof t->skips.why, "overflow in f16; the loss scale was %g",
                 t->loss_scale.scale);
    else mine = qn__skips_judge(&t->skips, &limits, loss, norm, z);
    if (mine != QN_OK) return qn__wrap(mine, "step %lld: ", (long long)t->step + 1);
    *good = !t->skips.why[0];
    qn__loss_scale_update(&t->loss_scale, !isfinite(norm));
    if (!*good && *o->out && t->comm->rank == 0)
        qn__skips_record(&t->skips, o->out, t->step + 1, loss, norm, z);
    return QN_OK;
}

/* For the timeline: what the host did since *since, until now. */
static void note(qn_trainer *t, const char *what, double *since)
{
    double now = qn__seconds();
    qn__trace_add(t->trace, QN_TRACK_HOST, what, *since, now, 0);
    *since = now;
}

/* Forward, backward, and what all ranks make of it. Collective; a rank that fails amid the
 * collectives of a step can only leave. */
static qn_status compute(qn_trainer *t, double *loss, double *norm, bool *good)
{
    qn_status mine = QN_OK;
    double since = qn__seconds();
    for (int64_t leaf = 0; leaf < t->training->leaves && mine == QN_OK; leaf++)
        mine = load_leaf(t, leaf);
    if (t->training->ranks > 1) QN_TRY(t->comm->agree(t->comm, mine));
    t->training->loss_scale = t->loss_scale.scale;
    note(t, "load the batch", &since);
    if (mine == QN_OK) {
        mine = qn__training_step(t->training, (uint64_t)t->options->seed, t->step, loss, norm);
        if (mine != QN_OK) t->comm->give_up(t->comm);
    }
    note(t, "gradients, norm, loss", &since);
    if (mine == QN_OK) mine = judge(t, *loss, *norm, good);
    mine = t->comm->agree(t->comm, mine); /* once a step: one rank's failure stops all */
    note(t, "agree", &since);
    return mine;
}

/* info has all members. */
static qn_status take_step(qn_trainer *t, qn_step_info *info)
{
    double start = qn__seconds(), loss = 0, norm = 0;
    uint64_t sent = t->comm->sent(t->comm);
    bool good = false;
    QN_TRY(compute(t, &loss, &norm, &good));
    qn_hyper hyper = hyper_of(t, norm);
    double since = qn__seconds();
    if (good) {
        qn_status status = qn__training_update(t->training, &hyper);
        if (status != QN_OK) t->comm->give_up(t->comm);
        QN_TRY(status);
        t->updates++;
        note(t, "update", &since);
    }
    t->step++;
    t->val_loss = NAN;
    double took = qn__seconds() - start;
    t->step_seconds = t->step_seconds > 0 ? 0.9 * t->step_seconds + 0.1 * took : took;
    fill_info(t, loss, norm, &hyper, took, info);
    if (t->comm->size > 1) info->sent_bytes = (double)(t->comm->sent(t->comm) - sent);
    return QN_OK;
}

qn_status qn_trainer_step(qn_trainer *t, qn_step_info *info)
{
    qn_step_info all;
    if (info) QN_TRY(qn__step_info_take(info, &all)); /* is its size right? */
    QN_TRY(take_step(t, &all));
    if (!info) return QN_OK;
    all.size = info->size < sizeof all ? info->size : sizeof all;
    memcpy(info, &all, all.size);
    return QN_OK;
}

/* The samples from `first` on; past the last one nothing is trained or counted. */
static qn_status load_samples(qn_trainer *t, uint64_t first)
{
    const qn_samples *samples = &t->data.val.samples;
    size_t context = (size_t)t->options->context, micro = (size_t)t->training->micro;
    memset(t->ids, 0, micro * context * sizeof *t->ids);
    memset(t->positions, 0, micro * context * sizeof *t->positions);
    for (size_t r = 0; r < micro * context; r++) t->targets[r] = -1;
    for (size_t s = 0; s < micro && first + s < samples->count; s++)
        QN_TRY(qn__samples_get(samples, first + s, t->ids + s * context, t->targets + s * context,
                               t->positions + s * context));
    qn__training_set_positions(t->training, 0, t->positions);
    return QN_OK;
}

/* The losses of a micro-batch of samples, and how many tokens they are of. */
typedef struct part_loss {
    double nll;
    int64_t count;
} part_loss;

/* Ranks take micro-batches in turn; their losses are added in the order of the samples. */
qn_status qn_trainer_validate(qn_trainer *t, double *loss)
{
    part_loss all = {0}, *parts = malloc((size_t)t->comm->size * sizeof *parts);
    uint64_t micro = (uint64_t)t->training->micro, samples = t->data.val.samples.count;
    uint64_t round = micro * (uint64_t)t->comm->size;
    qn_status mine = parts ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
    *loss = NAN;
    for (uint64_t first = 0; first < samples && parts; first += round) {
        uint64_t own = first + micro * (uint64_t)t->comm->rank;
        part_loss part = {0};
        if (own < samples && mine == QN_OK) mine = load_samples(t, own);
        if (own < samples && mine == QN_OK)
            mine = qn__training_eval(t->training, t->ids, t->targets, &part.nll, &part.count);
        qn_status status = qn__all_gather(t->comm, &part, sizeof part, parts);
        if (status != QN_OK) mine = status;
        if (status != QN_OK) break;
        for (int r = 0; r < t->comm->size; r++) {
            all.nll += parts[r].nll;
            all.count += parts[r].count;
        }
    }
    free(parts);
    if (mine == QN_OK && all.count > 0) *loss = all.nll / (double)all.count;
    return mine;
}

/* ---- a run ---- */

/* Every rank has the same weights: the first writes. Collective. */
static qn_status save(qn_trainer *t, bool model)
{
    qn__record_sync(t->record);
    qn_status status = qn__trainer_checkpoint(t);
    if (t->comm->rank == 0 && status == QN_OK && model) status = qn__trainer_save_model(t);
    return t->comm->agree(t->comm, status);
}

qn_status qn_trainer_save(qn_trainer *t)
{
    QN_CHECK(*t->options->out, "nowhere to save: give --out DIR");
    if (!t->reporting || t->comm->size == 1) return save(t, true);
    t->save_asked = true; /* some ranks may not have been asked: after they agreed */
    return QN_OK;
}

static bool due(int64_t step, int64_t every)
{
    return every > 0 && step % every == 0;
}

static qn_status after_step(qn_trainer *t, qn_step_info *info)
{
    const qn_train_options *o = t->options;
    bool last = t->step >= o->steps, best = false;
    if (due(t->step, o->check_replicas) && t->comm->size > 1)
        QN_TRY(qn__replicas_check(t->training, t->comm, t->step));
    if (due(t->step, o->eval_every) || last) {
        qn_status status = qn_trainer_validate(t, &info->val_loss);
        t->val_loss = info->val_loss;
        best = t->val_loss < t->best_val || (isnan(t->best_val) && isfinite(t->val_loss));
        if (best) t->best_val = t->val_loss;
        if (t->comm->rank == 0 && status == QN_OK)
            status = qn__sample_text_make(t->sample_text, t->training->writer, &info->sample);
        QN_TRY(t->comm->agree(t->comm, status));
    }
    qn__record_step(t->record, info); /* first: a checkpoint is of steps that were recorded */
    if (*o->out && !last && (due(t->step, o->save_every) || (best && o->keep_best))) {
        QN_TRY(save(t, false));
        info->saved = true;
    }
    return QN_OK;
}

/* A file OUT/STOP asks a run to save and stop: signals do not always reach the ranks of a launcher.
 * Whoever asked for it once will not find it again. */
static bool stop_file(const qn_trainer *t)
{
    if (t->comm->size == 1 || t->comm->rank != 0 || !*t->options->out) return false;
    char *path = qn__path_join(t->options->out, "STOP");
    bool there = path && remove(path) == 0;
    free(path);
    return there;
}

/* The caller sees the step; all ranks agree on what their callers ask for. Collective. */
static qn_status report(qn_trainer *t, qn_step_fn fn, void *user, const qn_step_info *info,
                        bool *stopped)
{
    bool more = t->step < t->options->steps;
    t->reporting = true;
    *stopped = fn && !fn(user, info);
    t->reporting = false;
    if (t->comm->size > 1) {
        float asked[2] = {*stopped || stop_file(t), t->save_asked};
        int ticket;
        QN_TRY(t->comm->all_reduce(t->comm, QN_COMM_MAX, asked, 2, &ticket));
        QN_TRY(t->comm->wait(t->comm, ticket, 0, sizeof asked));
        *stopped = asked[0] > 0;
        t->save_asked = false;
        if (asked[1] > 0 && !*stopped && more) QN_TRY(save(t, true));
    }
    *stopped = *stopped && more;
    return QN_OK;
}

/* A step that cannot be taken leaves the weights as they were: save them, and say why it ended. */
static qn_status keep_what_was_reached(qn_trainer *t, qn_status status)
{
    char message[1024];
    snprintf(message, sizeof message, "%s", qn_last_error());
    if (qn_trainer_save(t) != QN_OK) return qn__wrap(status, "%s; saving failed too: ", message);
    return qn__fail(status,
                    "%s. Lower --lr or raise --warmup; step %lld is saved: --resume continues",
                    message, (long long)t->step);
}

qn_status qn_trainer_run(qn_trainer *t, qn_step_fn fn, void *user)
{
    const qn_train_options *o = t->options;
    bool stopped = false;
    if (!t->record) qn__record_open(t, &t->record);
    while (t->step < o->steps && !stopped) {
        qn_step_info info;
        qn_status status = take_step(t, &info);
        if (status == QN_NON_FINITE && *o->out) return keep_what_was_reached(t, status);
        QN_TRY(status);
        double since = qn__seconds();
        QN_TRY(after_step(t, &info));
        note(t, "validate, record, save", &since);
        QN_TRY(report(t, fn, user, &info, &stopped));
    }
    if (*o->out) QN_TRY(qn_trainer_save(t));
    QN_TRY(qn__timeline_write(t));
    if (!stopped) return QN_OK;
    return qn__fail(QN_INTERRUPTED,
                    *o->out ? "stopped after step %lld, which is saved: --resume continues"
                            : "stopped after step %lld",
                    (long long)t->step);
}

qn_status qn_trainer_plan_json(qn_trainer *trainer, char **json)
{
    return qn_plan_json(trainer->training->step_plan, json);
}

qn_status qn_trainer_profile(qn_trainer *t, char **json)
{
    qn_plan *plans[QN_STEP_PLANS];
    int64_t runs[QN_STEP_PLANS];
    return qn__plans_profile(plans, qn__training_plans(t->training, plans, runs), json);
}

qn_status qn_trainer_data_json(const qn_trainer *t, char **json)
{
    json_t *root;
    *json = NULL;
    QN_TRY(qn__data_describe(&t->data, &root));
    *json = json_dumps(root, JSON_PRESERVE_ORDER);
    json_decref(root);
    return *json ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
}
