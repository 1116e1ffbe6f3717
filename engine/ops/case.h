/* Case lines: "matmul trans_b=1 : a=f32[5,7] b=f32[3,7]", an op, its attributes and its tensors,
 * "+pre" for an optional output, "(backward)" at the end for the backward pass. Verbose mode,
 * failing tests, bench and tuning entries share them; qn__call_text writes them. */
#ifndef QN_OPS_CASE_H
#define QN_OPS_CASE_H

#include "ops/op.h"

/* The call without memory: outputs by the op's shape rule; backward: every gradient there is.
 * caps is NULL. */
qn_status qn__case_parse(const char *line, qn_call *call) QN_MUST_USE;

#endif
