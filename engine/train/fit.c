/* How much is computed at once: the micro-batch whose plan fits, on every rank. */
#include "base/check.h"
#include "train/head.h"
#include "train/mesh.h"
#include "train/offload.h"
#include "train/trainer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* What is to be trained, where. */
typedef struct job {
    const qn_train_options *o;
    const qn_model_config *config;
    qn_device *device;
    const qn_caps *caps;
    qn_comm *comm; /* NULL: only to look at */
    int ranks;
} job;

static qn_status try_micro(const job *j, int64_t micro, double share, qn_training **training)
{
    const qn_train_options *o = j->o;
    const qn_caps *caps = j->caps;
    qn_training_options options = {.batch = o->batch,
                                   .micro = micro,
                                   .rank = j->comm ? j->comm->rank : 0,
                                   .ranks = j->ranks,
                                   .zero = o->zero > 0,
                                   .comm = j->comm,
                                   .dropout = (float)o->dropout,
                                   .tune = o->tune,
                                   .tune_seconds = o->tune_seconds,
                                   .writes = o->sample_tokens > 0};
    qn_sampling how;
    qn_lora lora;
    QN_TRY(qn__start_lora(o, j->config, &lora));
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
    QN_TRY(qn__training_create(j->device, caps, j->config, &options, training));
    uint64_t need = qn__training_bytes(*training);
    if ((double)need <= share * (double)caps->global_bytes) return QN_OK;
    qn__training_destroy(training);
    return qn__fail(QN_OUT_OF_DEVICE_MEMORY,
                    "training with a micro-batch of %lld needs %.1f MB; %s has %.1f MB",
                    (long long)micro, (double)need / 1e6, caps->name,
                    (double)caps->global_bytes / 1e6);
}

/* The largest divisor of the batch, not above `most`, whose plan fits; 0: none does. */
static int64_t largest_fit(const job *j, int64_t most, double share)
{
    const job look = {j->o, j->config, NULL, j->caps, j->comm, j->ranks};
    for (int64_t micro = most; micro >= 1; micro--) {
        qn_training *training;
        if (j->o->batch % micro != 0) continue;
        if (try_micro(&look, micro, share, &training) == QN_OK) {
            qn__training_destroy(&training);
            return micro;
        }
    }
    return 0;
}

/* Sequences of a micro-batch that every rank gets one of. */
static int64_t most_of(const job *j)
{
    return j->o->batch / j->ranks > 0 ? j->o->batch / j->ranks : 1;
}

/* What is left to the plan: as much as fits; a run that goes on, as before where that fits. */
static qn_status fit_auto(const job *j, qn_training **training)
{
    int64_t micro = 0;
    if (j->device && j->o->resume && *j->o->out) QN_TRY(qn__trainer_saved_micro(j->o, &micro));
    if (micro > 0 && micro <= most_of(j) && j->o->batch % micro == 0) {
        qn_status status = try_micro(j, micro, 1.0, training);
        if (status != QN_OUT_OF_DEVICE_MEMORY) return status;
    }
    for (micro = most_of(j); j->o->batch % micro != 0;) micro--;
    qn_status status = try_micro(j, micro, auto_share, training);
    if (status != QN_OUT_OF_DEVICE_MEMORY) return status;
    micro = largest_fit(j, micro - 1, auto_share);
    if (micro == 0) micro = largest_fit(j, most_of(j), 1.0);
    if (micro > 0) return try_micro(j, micro, 1.0, training);
    status = try_micro(j, 1, 1.0, training); /* its message again */
    if (status != QN_OUT_OF_DEVICE_MEMORY) return status;
    return qn__wrap(status, "no micro-batch fits: use a smaller model or --context: ");
}

static qn_status fit_asked(const job *j, qn_training **training)
{
    const qn_train_options *o = j->o;
    char *end, message[1024];
    int64_t micro = strtoll(o->micro_batch, &end, 10);
    QN_CHECK(*o->micro_batch && *end == 0 && micro >= 1 && micro <= o->batch &&
                 o->batch % micro == 0,
             "micro_batch: \"%s\" is not auto or a divisor of the batch %lld", o->micro_batch,
             (long long)o->batch);
    qn_status status = try_micro(j, micro, 1.0, training);
    if (status != QN_OUT_OF_DEVICE_MEMORY) return status;
    snprintf(message, sizeof message, "%s", qn_last_error());
    int64_t fits = largest_fit(j, micro - 1, 1.0);
    if (fits > 0)
        return qn__fail(status, "%s. The largest that fits is --micro-batch %lld", message,
                        (long long)fits);
    return qn__fail(status, "%s. No micro-batch fits: use a smaller model or --context", message);
}

static qn_status fit_job(const qn_train_options *o, const qn_model_config *config,
                         qn_device *device, const qn_caps *caps, qn_comm *comm, job *j)
{
    qn_mesh mesh;
    QN_TRY(qn__mesh_parse(o->mesh, comm ? comm->size : 0, &mesh));
    *j = (job){o, config, device, caps, comm, mesh.dp};
    if (o->zero > 1)
        return qn__fail(QN_UNSUPPORTED,
                        "zero: %lld: gradients and weights are not shared out yet; give --zero 1",
                        (long long)o->zero);
    QN_CHECK(o->batch >= mesh.dp, "a batch of %lld sequences for %d ranks: give --batch %d or more",
             (long long)o->batch, mesh.dp, mesh.dp);
    return QN_OK;
}

static qn_status fit(const job *j, qn_training **training)
{
    return strcmp(j->o->micro_batch, "auto") == 0 ? fit_auto(j, training) : fit_asked(j, training);
}

/* ---- on all ranks ---- */

qn_status qn__all_gather(qn_comm *comm, const void *mine, uint64_t bytes, void *all)
{
    int ticket;
    QN_TRY(comm->all_gather(comm, mine, bytes, all, &ticket));
    return comm->wait(comm, ticket, 0, bytes);
}

qn_status qn__broadcast(qn_comm *comm, void *data, uint64_t bytes)
{
    int ticket;
    QN_TRY(comm->broadcast(comm, data, bytes, 0, &ticket));
    return comm->wait(comm, ticket, 0, bytes);
}

/* The least of all ranks' values. */
static qn_status least(qn_comm *comm, uint64_t *value)
{
    uint64_t *all = malloc((size_t)comm->size * sizeof *all);
    if (!all) return qn__fail(QN_OS_ERROR, "out of memory");
    qn_status status = qn__all_gather(comm, value, sizeof *value, all);
    for (int r = 0; r < comm->size && status == QN_OK; r++)
        if (all[r] < *value) *value = all[r];
    free(all);
    return status;
}

qn_status qn__trainer_limits(qn_trainer *t)
{
    t->caps = *qn__device_caps(t->device);
    return least(t->comm, &t->caps.max_alloc_bytes);
}

qn_status qn__trainer_fit_together(qn_trainer *t)
{
    job j;
    qn_status status = fit_job(t->options, &t->start.config, t->device, &t->caps, t->comm, &j);
    if (status == QN_OK) status = fit(&j, &t->training);
    QN_TRY(t->comm->agree(t->comm, status));
    uint64_t micro = (uint64_t)t->training->micro;
    QN_TRY(least(t->comm, &micro));
    if ((int64_t)micro == t->training->micro) return QN_OK;
    qn__training_destroy(&t->training); /* another rank has less memory */
    return try_micro(&j, (int64_t)micro, 1.0, &t->training);
}

/* ---- only to look at ---- */

static qn_status try_options(const qn_train_options *o, qn_device *device, const qn_caps *caps,
                             qn_status (*fn)(void *user, qn_training *training), void *user)
{
    qn_start start = {0};
    qn_data data;
    qn_training *training = NULL;
    job j;
    QN_TRY(qn__data_open(o, NULL, NULL, &data));
    qn_status status = qn__start_open(o, data.tokenizer, &start);
    if (status == QN_OK) status = fit_job(o, &start.config, device, caps, NULL, &j);
    if (status == QN_OK) status = fit(&j, &training);
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
