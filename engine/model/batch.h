/* Inside a batch. */
#ifndef QN_MODEL_BATCH_H
#define QN_MODEL_BATCH_H

#include "model/cells.h"
#include "model/model.h"

struct qn_batch {
    qn_model *model;
    qn_cells cells;
    float *logits; /* [logits_rows, vocab] of the last run */
    size_t logits_rows;
    int last; /* the stored tensor, and the row of it, with the logits made last */
    int32_t last_row;
};

/* Of the last row that wanted them; after a run that did not read them. */
qn_status qn__batch_last_logits(qn_batch *batch, float *logits) QN_MUST_USE;

#endif
