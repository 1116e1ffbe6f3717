#include "train/trainer.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "device/tuning.h"
#include "model/weights.h"
#include "train/head.h"
#include "train/metrics.h"
#include "train/offload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- how much at once ---- */

/* Of device memory, what a plan may take when it chooses for itself. */
static const double auto_share = 0.8;

static qn_status find_recompute(const char *name, qn_recompute *mode)
{
    static const char *const names[] = {
        [QN_KEEP_ALL] = "none", [QN_RECOMPUTE_CHEAP] = "cheap", [QN_RECOMPUTE_BLOCK] = "block"};
    for (int i = 0; i < 3; i++) {
        *mode = (qn_recompute)i;
        if (strcmp(name, names[i]) == 0) return QN_OK;
    }
    return qn__fail(QN_BAD_ARGUMENT, "recompute: \"%s\" is not none, cheap or block", name);
}

static qn_status try_micro(const qn_train_options *o, const qn_model_config *config,
                           qn_device *device, const qn_caps *caps, int64_t micro, double share,
                           qn_training **training)
{
    qn_training_options options = {.batch = o->batch,
                                   .micro = micro,
                                   .dropout = (float)o->dropout,
                                   .tune = o->tune,
                                   .tune_seconds = o->tune_seconds,
                                   .writes = o->sample_tokens > 0};
    qn_sampling how;
    qn_lora lora;
    QN_TRY(qn__start_lora(o, config, &lora));
    options.lora = &lora;
    options.length = o->context;
    QN_TRY(qn__data_sampling(o, &how));
    options.packed = how.documents;
    QN_TRY(qn__offload_parse(o->offload, &options.offload));
    QN_TRY(find_recompute(o->recompute, &options.recompute));
    QN_TRY(qn__head_parse(o->head_chunk, &options.head_chunk));
    QN_TRY(qn__precision(o->precision, &options.type));
    options.chain = strcmp(o->sum_order, "chain") == 0;
    QN_CHECK(options.chain || strcmp(o->sum_order, "tree") == 0,
             "sum_order: \"%s\" is not tree or chain", o->sum_order);
    QN_TRY(qn__moments(o->moments, &options.moments));
    QN_TRY(qn__master(o->master, options.type, lora.rank > 0, &options.no_master));
    QN_TRY(qn__training_create(device, caps, config, &options, training));
    uint64_t need = qn__training_bytes(*training);
    if ((double)need <= share * (double)caps->global_bytes) return QN_OK;
    qn__training_destroy(training);
    return qn__fail(QN_OUT_OF_DEVICE_MEMORY,
                    "training with a micro-batch of %lld needs %.1f MB; %s has %.1f MB",
                    (long long)micro, (double)need / 1e6, caps->name,
                    (double)caps->global_bytes / 1e6);
}

/* The largest divisor of the batch, not above `most`, whose plan fits; 0: none does. */
static int64_t largest_fit(const qn_train_options *o, const qn_model_config *config,
                           const qn_caps *caps, int64_t most, double share)
{
    for (int64_t micro = most; micro >= 1; micro--) {
        qn_training *training;
        if (o->batch % micro != 0) continue;
        if (try_micro(o, config, NULL, caps, micro, share, &training) == QN_OK) {
            qn__training_destroy(&training);
            return micro;
        }
    }
    return 0;
}

qn_status qn__trainer_fit(const qn_train_options *o, const qn_model_config *config,
                          qn_device *device, const qn_caps *caps, qn_training **training)
{
    char *end;
    bool automatic = strcmp(o->micro_batch, "auto") == 0;
    int64_t micro = automatic ? o->batch : strtoll(o->micro_batch, &end, 10);
    if (!automatic)
        QN_CHECK(*o->micro_batch && *end == 0 && micro >= 1 && micro <= o->batch &&
                     o->batch % micro == 0,
                 "micro_batch: \"%s\" is not auto or a divisor of the batch %lld", o->micro_batch,
                 (long long)o->batch);
    qn_status status =
        try_micro(o, config, device, caps, micro, automatic ? auto_share : 1.0, training);
    if (status != QN_OUT_OF_DEVICE_MEMORY) return status;
    int64_t fits = largest_fit(o, config, caps, micro, automatic ? auto_share : 1.0);
    if (automatic && fits == 0) fits = largest_fit(o, config, caps, micro, 1.0);
    if (automatic && fits > 0) return try_micro(o, config, device, caps, fits, 1.0, training);
    status =
        try_micro(o, config, device, caps, micro, 1.0, training); /* its message again, whole */
    if (status == QN_OK) return QN_OK;
    char message[1024];
    snprintf(message, sizeof message, "%s", qn_last_error());
    if (fits > 0)
        return qn__fail(status, "%s. The largest that fits is --micro-batch %lld", message,
                        (long long)fits);
    return qn__fail(status, "%s. No micro-batch fits: use a smaller model or --context", message);
}

static qn_status try_options(const qn_train_options *o, qn_device *device, const qn_caps *caps,
                             qn_status (*fn)(void *user, qn_training *training), void *user)
{
    qn_start start = {0};
    qn_data data;
    qn_training *training = NULL;
    QN_TRY(qn__data_open(o, NULL, NULL, &data));
    qn_status status = qn__start_open(o, data.tokenizer, &start);
    if (status == QN_OK) status = qn__trainer_fit(o, &start.config, device, caps, &training);
    if (status == QN_OK) status = fn(user, training);
    qn__training_destroy(&training);
    qn__start_close(&start);
    qn__data_close(&data);
    return status;
}

qn_status qn__trainer_try(const qn_train_options *options, qn_device *device, const qn_caps *caps,
                          qn_status (*fn)(void *user, qn_training *training), void *user)
{
    qn_train_options *own = NULL;
    QN_TRY(qn__train_options_copy(options, &own));
    qn_status status = qn__start_tokenizer(own);
    if (status == QN_OK) status = try_options(own, device, caps, fn, user);
    qn_train_options_destroy(&own);
    return status;
}

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

static qn_status set_up(qn_trainer *t, qn_work_fn progress, void *user)
{
    const qn_train_options *o = t->options;
    QN_TRY(qn__schedule_check(o));
    QN_TRY(qn__start_tokenizer(t->options));
    QN_TRY(know_peaks(t->device, progress, user));
    QN_TRY(qn__data_open(o, progress, user, &t->data));
    QN_TRY(qn__start_open(o, t->data.tokenizer, &t->start));
    QN_TRY(
        qn__trainer_fit(o, &t->start.config, t->device, qn__device_caps(t->device), &t->training));
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
    QN_TRY(qn__make_folders(o->out));
    qn__folder_sweep(o->out);
    t->tokenizer_path = qn__path_join(o->out, "tokenizer.json");
    if (o->resume) QN_TRY(qn__trainer_resume(t));
    return qn__skips_cut(o->out, t->step);
}

/* What a person needs to repeat the run, and the tokenizer, before the first step. */
static qn_status write_start(const qn_trainer *t)
{
    if (!*t->options->out) return QN_OK;
    char *path = qn__path_join(t->options->out, "train.json");
    json_t *json = qn__train_options_to_json(t->options);
    qn_status status =
        path && json ? qn__json_save(path, json) : qn__fail(QN_OS_ERROR, "out of memory");
    json_decref(json);
    free(path);
    if (status == QN_OK) status = qn_tokenizer_save(t->data.tokenizer, t->options->out);
    return status == QN_OK ? qn__start_copy_tokenizer(t->options) : status;
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
    if (status == QN_OK) status = qn__comm_create(&t->comm);
    if (status == QN_OK) status = set_up(t, progress, user);
    if (status == QN_OK) status = write_start(t);
    if (status != QN_OK) qn_trainer_destroy(&t);
    *trainer = t;
    return status;
}

void qn_trainer_destroy(qn_trainer **trainer)
{
    qn_trainer *t = *trainer;
    if (!t) return;
    qn__training_destroy(&t->training);
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
    for (int64_t s = 0; s < micro; s++) {
        int64_t at = s * context;
        QN_TRY(qn__samples_of_step(&t->data.train.samples, t->step, t->options->batch,
                                   leaf * micro + s, t->ids + at, t->targets + at,
                                   t->positions + at));
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
                       .loss_scale = t->training->type == QN_F16 ? t->training->loss_scale : NAN};
    const qn_training *training = t->training;
    double peak = qn__run_peak_gflops(caps, training->type) * 1e9;
    if (peak > 0) {
        info->percent_of_peak = 100 * flops / took / peak;
        info->mfu = tokens / took / peak *
                    qn__run_flops_per_token(&training->config, &training->lora, training->length);
    }
    info->seconds_left = t->step_seconds * (double)(t->options->steps - t->step);
    qn_device_memory(t->device, &info->device_bytes, NULL);
}

/* May this step's update be made? Every rank sees the same loss and norm, and comes to the same
 * answer; should one differ after all, nobody makes it. */
static qn_status judge(qn_trainer *t, double loss, double norm, bool *good)
{
    const qn_train_options *o = t->options;
    const qn_skip_limits limits = {o->skip_loss_z, o->skip_grad_z, o->max_skips};
    double z[2];
    int ticket;
    qn_status mine = QN_OK;
    bool overflow = isfinite(loss) && !isfinite(norm) && qn__loss_scale_can_fall(&t->loss_scale);
    z[0] = z[1] = NAN;
    if (overflow)
        snprintf(t->skips.why, sizeof t->skips.why, "overflow in f16; the loss scale was %g",
                 t->loss_scale.scale);
    else mine = qn__skips_judge(&t->skips, &limits, loss, norm, z);
    if (mine != QN_OK) mine = qn__wrap(mine, "step %lld: ", (long long)t->step + 1);
    QN_TRY(t->comm->agree(t->comm, mine));
    float bad = t->skips.why[0] != 0;
    QN_TRY(t->comm->all_reduce(t->comm, QN_COMM_MAX, &bad, 1, &ticket));
    QN_TRY(t->comm->wait(t->comm, ticket, 0, sizeof bad));
    if (bad > 0 && !t->skips.why[0])
        snprintf(t->skips.why, sizeof t->skips.why, "another rank skips it");
    *good = bad <= 0;
    qn__loss_scale_update(&t->loss_scale, !isfinite(norm)); /* a norm is the same everywhere */
    if (!*good && *o->out && t->comm->rank == 0)
        qn__skips_record(&t->skips, o->out, t->step + 1, loss, norm, z);
    return QN_OK;
}

/* info has all members. */
static qn_status take_step(qn_trainer *t, qn_step_info *info)
{
    double start = qn__seconds(), loss = 0, norm = 0;
    bool good;
    for (int64_t leaf = 0; leaf < t->training->leaves; leaf++) QN_TRY(load_leaf(t, leaf));
    t->training->loss_scale = t->loss_scale.scale;
    qn_status mine =
        qn__training_step(t->training, (uint64_t)t->options->seed, t->step, &loss, &norm);
    QN_TRY(t->comm->agree(t->comm, mine)); /* once a step: one rank's failure stops all */
    QN_TRY(judge(t, loss, norm, &good));
    qn_hyper hyper = hyper_of(t, norm);
    if (good) {
        QN_TRY(qn__training_update(t->training, &hyper));
        t->updates++;
    }
    t->step++;
    t->val_loss = NAN;
    double took = qn__seconds() - start;
    t->step_seconds = t->step_seconds > 0 ? 0.9 * t->step_seconds + 0.1 * took : took;
    fill_info(t, loss, norm, &hyper, took, info);
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

qn_status qn_trainer_validate(qn_trainer *t, double *loss)
{
    double nll = 0;
    int64_t count = 0;
    *loss = NAN;
    for (uint64_t first = 0; first < t->data.val.samples.count;
         first += (uint64_t)t->training->micro) {
        QN_TRY(load_samples(t, first));
        QN_TRY(qn__training_eval(t->training, t->ids, t->targets, &nll, &count));
    }
    if (count > 0) *loss = nll / (double)count;
    return QN_OK;
}

/* ---- a run ---- */

qn_status qn_trainer_save(qn_trainer *t)
{
    QN_CHECK(*t->options->out, "nowhere to save: give --out DIR");
    qn__record_sync(t->record);
    QN_TRY(qn__trainer_checkpoint(t));
    return qn__trainer_save_model(t);
}

static bool due(int64_t step, int64_t every)
{
    return every > 0 && step % every == 0;
}

static qn_status after_step(qn_trainer *t, qn_step_info *info)
{
    const qn_train_options *o = t->options;
    bool last = t->step >= o->steps, best = false;
    if (due(t->step, o->eval_every) || last) {
        QN_TRY(qn_trainer_validate(t, &info->val_loss));
        t->val_loss = info->val_loss;
        best = t->val_loss < t->best_val || (isnan(t->best_val) && isfinite(t->val_loss));
        if (best) t->best_val = t->val_loss;
        if (t->comm->rank == 0)
            QN_TRY(qn__sample_text_make(t->sample_text, t->training->writer, &info->sample));
    }
    qn__record_step(t->record, info); /* first: a checkpoint is of steps that were recorded */
    if (*o->out && !last && (due(t->step, o->save_every) || (best && o->keep_best))) {
        qn__record_sync(t->record);
        QN_TRY(qn__trainer_checkpoint(t));
        info->saved = true;
    }
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
        QN_TRY(after_step(t, &info));
        stopped = fn && !fn(user, &info) && t->step < o->steps;
    }
    if (*o->out) QN_TRY(qn_trainer_save(t));
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
