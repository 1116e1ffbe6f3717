/* Training a language model from text. */
#ifndef QUERNEL_TRAIN_H
#define QUERNEL_TRAIN_H

#include <quernel/graph.h>
#include <quernel/model.h>
#include <quernel/option.h>

/* The keys of a run. One table describes them: command flags (--key, with - for _), the JSON file
 * and this interface are the same keys. */
typedef struct qn_train_options qn_train_options;

/* The i-th key; NULL past the last. */
QN_API const qn_option_info *qn_train_option(int i);

QN_API qn_status qn_train_options_create(qn_train_options **options) QN_MUST_USE;
QN_API void qn_train_options_destroy(qn_train_options **options);
/* QN_BAD_ARGUMENT names the key, the value and what is allowed. */
QN_API qn_status qn_train_options_set(qn_train_options *options, const char *key,
                                      const char *value) QN_MUST_USE;
/* Keys of a JSON object in a file; keys set before or after with _set win only when set after. */
QN_API qn_status qn_train_options_load(qn_train_options *options, const char *path) QN_MUST_USE;
/* All keys as JSON; free with qn_free. */
QN_API qn_status qn_train_options_json(const qn_train_options *options, char **json) QN_MUST_USE;

/* What a run will use, before it runs: {"total_bytes", "arenas", "tensors", "programs",
 * "predicted_step_seconds", "parameters", "micro_batch", ...}. record_path: a capability record
 * (`quernel devices --json` or one record of it), NULL: the default device's. Allocates nothing on
 * a device. Free *json with qn_free. */
QN_API qn_status qn_train_plan(const qn_train_options *options, const char *record_path,
                               char **json) QN_MUST_USE;

typedef struct qn_trainer qn_trainer;

/* What a step was. New members are added at the end; `size` says how many there are. */
typedef struct qn_step_info {
    uint32_t size;       /* sizeof(qn_step_info); set it before qn_trainer_step */
    bool saved;          /* a checkpoint was written at this step */
    int64_t step, steps; /* step counts from 1 */
    double loss;         /* mean over the trained tokens of the batch */
    double grad_norm;    /* before clipping */
    double lr;
    double seconds; /* of this step */
    double tokens_per_s;
    double percent_of_peak; /* flops of the matrix kernels, of the device's measured peak */
    double seconds_left;
    double val_loss;       /* of an evaluation at this step, else NaN */
    uint64_t device_bytes; /* allocated now */
    /* Why the weights were left as they were (not finite, an outlier), until the next step; NULL:
     * they were updated. */
    const char *skipped;
    double mfu;         /* qn_model_flops_per_token x tokens_per_s / measured peak; or NaN */
    double loss_scale;  /* NaN: the loss is not scaled */
    const char *sample; /* text generated at this step's evaluation, valid UTF-8 without NUL;
                              NULL: none. Valid until the next step. */
    double sent_bytes; /* by this rank to others, as `quernel plan --mesh` says; NaN: it is alone */
} qn_step_info;

/* The line of metrics.jsonl: one JSON object, no newline; see docs/metrics.md. Free with qn_free.
 */
QN_API qn_status qn_step_info_json(const qn_step_info *info, char **json) QN_MUST_USE;

/* Return false to save and stop. */
typedef bool (*qn_step_fn)(void *user, const qn_step_info *info);

/* Load or train the tokenizer, read and tokenize the data, build and plan, allocate, continue from
 * the newest checkpoint when the option "resume" is set. The device must outlive the trainer.
 * progress may be NULL: called in long work, with a word of what it is. */
typedef bool (*qn_work_fn)(void *user, const char *what, int64_t done, int64_t total);
QN_API qn_status qn_trainer_create(const qn_train_options *options, qn_device *device,
                                   qn_work_fn progress, void *user,
                                   qn_trainer **trainer) QN_MUST_USE;
QN_API void qn_trainer_destroy(qn_trainer **trainer);

/* Train to the last step, evaluating and saving as the options say; writes the model folder at the
 * end. With the option "out", each step is a line of out/metrics.jsonl and, with "tensorboard", an
 * event that TensorBoard reads; a resumed run cuts off what came after its checkpoint. When fn
 * returns false, or a checkpoint cannot be written, what was reached is kept: QN_INTERRUPTED, or
 * the error. */
QN_API qn_status qn_trainer_run(qn_trainer *trainer, qn_step_fn fn, void *user) QN_MUST_USE;
/* One step; info may be NULL, else its `size` must be set. */
QN_API qn_status qn_trainer_step(qn_trainer *trainer, qn_step_info *info) QN_MUST_USE;
/* Mean loss over the whole validation set. */
QN_API qn_status qn_trainer_validate(qn_trainer *trainer, double *loss) QN_MUST_USE;
QN_API qn_status qn_trainer_save(qn_trainer *trainer) QN_MUST_USE;
/* Names and shapes: "plan" as qn_plan_json of the training plan, "facts" ... free with qn_free. */
QN_API qn_status qn_trainer_plan_json(qn_trainer *trainer, char **json) QN_MUST_USE;
/* What there is to learn from: {"packing", "shuffle", "tokens", "documents", "samples" (of an
 * epoch), "val_tokens", "cached" (tokens came from the cache), "full" (part of the packed rows that
 * hold a token), "cut" (documents longer than a sequence), "learned" (part of the tokens, where
 * some are only read)}. Free with qn_free. */
QN_API qn_status qn_trainer_data_json(const qn_trainer *trainer, char **json) QN_MUST_USE;
/* Where the time went (device opened with profile); see qn_plan_profile. Free with qn_free. */
QN_API qn_status qn_trainer_profile(qn_trainer *trainer, char **json) QN_MUST_USE;
QN_API const char *qn_trainer_tokenizer_path(const qn_trainer *trainer);

#endif
