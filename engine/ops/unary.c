#include "ops/unary.h"

qn_status qn__unary_shape(qn_call *call)
{
    QN_TRY(qn__check_elements(call, 1));
    qn__out_like(call, 0, 0);
    return QN_OK;
}

qn_status qn__unary_fwd(qn_exec *exec, const qn_call *call, const char *kernel, const char *options)
{
    qn__exec_begin(exec, call, kernel, "%s", options);
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[0]);
    return qn__exec_elementwise(exec, call, qn__elements(&call->out[0]));
}

qn_status qn__unary_bwd(qn_exec *exec, const qn_call *call, const char *kernel, const char *options)
{
    qn__exec_begin(exec, call, kernel, "%s", options);
    qn__exec_tensor(exec, &call->din[0]);
    qn__exec_tensor(exec, &call->dout[0]);
    qn__exec_tensor(exec, call->op->bwd_reads_in ? &call->in[0] : &call->out[0]);
    return qn__exec_elementwise(exec, call, qn__elements(&call->dout[0]));
}
