#include "ops/exec.h"

#include <math.h>
#include <string.h>

static qn_status shape(qn_call *call)
{
    double value = call->attr[0].f;
    QN_TRY(qn__check_word(call, 0));
    QN_CHECK(call->in[0].desc.dtype == QN_F32 ||
                 (value == floor(value) && fabs(value) < 2147483648.0),
             "fill: value %.9g is not an i32", value);
    qn__out_like(call, 0, 0);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    cost->flops = 0;
    cost->bytes = (double)qn__desc_bytes(&call->out[0].desc); /* written, not read */
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    float value = (float)call->attr[0].f;
    int32_t bits = (int32_t)call->attr[0].i;
    if (call->in[0].desc.dtype == QN_F32) memcpy(&bits, &value, sizeof bits);
    qn__exec_begin(exec, call, "fill_fwd", "%s", "");
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_i32(exec, bits);
    return qn__exec_elementwise(exec, call, qn__elements(&call->out[0]));
}

const qn_op qn__op_fill = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .variants = QN_VARIANTS_WIDE_TILE_PLAIN(QN_EXACT),
};
