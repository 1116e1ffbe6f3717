/* What add and multiply share: y = a op b, where b has a's shape or a suffix of it, or is one
 * number. */
#ifndef QN_OPS_BROADCAST_H
#define QN_OPS_BROADCAST_H

#include "ops/exec.h"

qn_status qn__broadcast_shape(qn_call *call) QN_MUST_USE;
/* The kernel of broadcast.clh. */
qn_status qn__broadcast_fwd(qn_exec *exec, const qn_call *call, const char *kernel) QN_MUST_USE;
/* *sum = `full` [a's shape] summed over the repeats into b's shape. */
qn_status qn__broadcast_fold(qn_grad_builder *builder, int full, int *sum) QN_MUST_USE;

#endif
