/* What ops of one f32 tensor, element by element, share. */
#ifndef QN_OPS_UNARY_H
#define QN_OPS_UNARY_H

#include "ops/exec.h"

/* y like x. */
qn_status qn__unary_shape(qn_call *call) QN_MUST_USE;
/* kernel(y, x, n) */
qn_status qn__unary_fwd(qn_exec *exec, const qn_call *call, const char *kernel,
                        const char *options) QN_MUST_USE;
/* kernel(dx, dy, read, n), where `read` is x or y, whichever the op reads back. */
qn_status qn__unary_bwd(qn_exec *exec, const qn_call *call, const char *kernel,
                        const char *options) QN_MUST_USE;

#endif
