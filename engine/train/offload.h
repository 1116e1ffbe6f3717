/* The optimizer's state in host memory. */
#ifndef QN_TRAIN_OFFLOAD_H
#define QN_TRAIN_OFFLOAD_H

#include "train/training.h"

/* "none" or "optimizer". */
qn_status qn__offload_parse(const char *text, bool *optimizer) QN_MUST_USE;
/* The update of all trained tensors with moments that pass through the device: in pieces of a
 * sixteenth of the largest tensor, at most 64 MiB, each fetched while the one before is updated,
 * then sent back. AdamW is element by element, so the pieces give the bits of the whole. */
qn_status qn__offload_update(qn_training *training, qn_graph *graph) QN_MUST_USE;

#endif
