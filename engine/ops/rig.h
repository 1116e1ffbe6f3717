/* One call by itself, with memory of its own: what bench and the tuner run. */
#ifndef QN_OPS_RIG_H
#define QN_OPS_RIG_H

#include "ops/exec.h"

enum { QN_RIG_BUFFERS = 32 };

typedef struct qn_rig {
    qn_device *device;
    qn_call call; /* operands placed, variant chosen by the caller */
    qn_buffer *buffers[QN_RIG_BUFFERS];
    int count;
    qn_buffer *scratch;
    uint64_t scratch_bytes;
} qn_rig;

/* Memory for every operand of the call, inputs and gradients filled with numbers any op can stand.
 * Frees what it made when it fails. */
qn_status qn__rig_make(qn_device *device, const qn_call *call, qn_rig *rig) QN_MUST_USE;
/* Inputs and outputs again as they were made. */
qn_status qn__rig_fill(qn_rig *rig) QN_MUST_USE;
/* Workspace for the choice that rig->call now has. */
qn_status qn__rig_scratch(qn_rig *rig) QN_MUST_USE;
/* Enqueue the call `times` times and wait. exec keeps the kernels of one choice. */
qn_status qn__rig_run(qn_rig *rig, qn_exec *exec, int times) QN_MUST_USE;
void qn__rig_free(qn_rig *rig);

#endif
