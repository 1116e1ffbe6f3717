/* The values of a run's keys. */
#ifndef QN_TRAIN_OPTIONS_H
#define QN_TRAIN_OPTIONS_H

#include "base/json.h"

#include <quernel/train.h>

#define QN_FIELD_INT int64_t
#define QN_FIELD_FLOAT double
#define QN_FIELD_TEXT char *
#define QN_FIELD_FLAG bool

struct qn_train_options {
#define QN_OPTION(key, type, fallback, low, high, help) QN_FIELD_##type key;
#include "train/option_list.def"
#undef QN_OPTION
};

/* A new reference. */
json_t *qn__train_options_to_json(const qn_train_options *options);
qn_status qn__train_options_from_json(qn_train_options *options, const json_t *json,
                                      const char *origin) QN_MUST_USE;
qn_status qn__train_options_copy(const qn_train_options *from, qn_train_options **to) QN_MUST_USE;
/* The model these keys describe, with this vocabulary. */
qn_status qn__train_options_config(const qn_train_options *options, int32_t vocab,
                                   qn_model_config *config) QN_MUST_USE;
/* Is there such a schedule? (schedule.c) */
qn_status qn__schedule_check(const qn_train_options *options) QN_MUST_USE;
/* Learning rate of `step`, counted from 0; a pure function of the options. */
double qn__learning_rate(const qn_train_options *options, int64_t step);

#endif
