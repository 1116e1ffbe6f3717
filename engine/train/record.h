/* What a run leaves for people to look at: OUT/metrics.jsonl, OUT/run.json and TensorBoard's event
 * files. A record that cannot be written is said once, in the log, and training goes on. */
#ifndef QN_TRAIN_RECORD_H
#define QN_TRAIN_RECORD_H

#include <quernel/train.h>

typedef struct qn_record qn_record;

/* Begin after the trainer's step; *record is NULL when nothing is to be recorded (no "out", or not
 * rank 0). */
void qn__record_open(const qn_trainer *trainer, qn_record **record);
/* All of them accept a NULL record. */
void qn__record_step(qn_record *record, const qn_step_info *info);
/* Before a checkpoint: no step that it holds may be missing from the record. */
void qn__record_sync(qn_record *record);
void qn__record_close(qn_record **record);

#endif
