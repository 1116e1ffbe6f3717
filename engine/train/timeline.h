/* --trace FILE: a run's first steps in Chrome's trace format, which https://ui.perfetto.dev and
 * chrome://tracing show: a process for each rank, with what its host waits for, until when its
 * device had made which gradients, and what it exchanges with the others. */
#ifndef QN_TRAIN_TIMELINE_H
#define QN_TRAIN_TIMELINE_H

#include "train/trainer.h"

/* Begin to note; where the option trace is empty, nothing is. Ranks should call at the same time.
 */
qn_status qn__timeline_begin(qn_trainer *trainer) QN_MUST_USE;
/* Rank 0 writes the spans of all. Collective. */
qn_status qn__timeline_write(qn_trainer *trainer) QN_MUST_USE;

#endif
