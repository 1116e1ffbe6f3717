/* Inside a trainer: options, data, the training, and where it stands. */
#ifndef QN_TRAIN_TRAINER_H
#define QN_TRAIN_TRAINER_H

#include "cluster/cluster.h"
#include "train/data.h"
#include "train/loss_scale.h"
#include "train/skip.h"
#include "train/record.h"
#include "train/sample_text.h"
#include "train/start.h"
#include "train/training.h"

struct qn_trainer {
    qn_train_options *options;
    qn_device *device;
    qn_trace *trace;            /* NULL: nothing is noted */
    qn_comm *comm;              /* the other ranks, or this one alone */
    qn_caps caps;               /* of the device, as far as every rank's goes */
    bool reporting, save_asked; /* in the caller's callback; it asked to save */
    qn_data data;
    qn_start start;
    qn_training *training;
    int64_t step;    /* steps done, skipped ones too */
    int64_t updates; /* of the weights: steps not skipped */
    qn_loss_scale loss_scale;
    qn_skips skips;
    double best_val;                    /* NaN: none yet */
    double val_loss;                    /* of this very step; NaN: not validated */
    int32_t *ids, *targets, *positions; /* a leaf */
    double step_seconds;                /* smoothed */
    char *tokenizer_path;
    qn_sample_text *sample_text; /* NULL: none are generated */
    qn_record *record;           /* of the run; NULL: none */
};

/* What this device may do on every rank. Collective. */
qn_status qn__trainer_limits(qn_trainer *trainer) QN_MUST_USE;
/* Make the training with the micro-batch of the options, or the largest that fits every rank; plans
 * are made on the way. Collective. */
qn_status qn__trainer_fit_together(qn_trainer *trainer) QN_MUST_USE;
/* comm->all_gather, and comm->broadcast from rank 0, waited for. Collective. */
qn_status qn__all_gather(qn_comm *comm, const void *mine, uint64_t bytes, void *all) QN_MUST_USE;
qn_status qn__broadcast(qn_comm *comm, void *data, uint64_t bytes) QN_MUST_USE;
/* The micro-batch of the newest checkpoint in options->out; 0: there is none. */
qn_status qn__trainer_saved_micro(const qn_train_options *options, int64_t *micro) QN_MUST_USE;
/* Write the model into options->out, or its adapter, or with `merge` both. */
qn_status qn__trainer_save_model(qn_trainer *trainer) QN_MUST_USE;
/* What these options would train, planned for `caps` (device NULL: only to look at), given to fn
 * and taken apart again. */
qn_status qn__trainer_try(const qn_train_options *options, qn_device *device, const qn_caps *caps,
                          qn_status (*fn)(void *user, qn_training *training),
                          void *user) QN_MUST_USE;
/* Write a checkpoint of this step, on rank 0; trim the older ones. Collective. */
qn_status qn__trainer_checkpoint(qn_trainer *trainer) QN_MUST_USE;
/* Are the sums of a run added as they were when this state was saved? Where not, the log says which
 * ops add in another order. */
bool qn__trainer_same_orders(const qn_trainer *trainer, const json_t *state);
/* Go on from the newest checkpoint in options->out; nothing there: QN_OK, and the step stays 0. */
qn_status qn__trainer_resume(qn_trainer *trainer) QN_MUST_USE;

#endif
