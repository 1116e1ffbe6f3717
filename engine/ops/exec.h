/* How launchers speak: begin a kernel, add its arguments, run it. The same calls record what a plan will build,
 * without a device, and later launch it. Errors stick and come back from qn__exec_status. */
#ifndef QN_OPS_EXEC_H
#define QN_OPS_EXEC_H

#include "ops/op.h"

