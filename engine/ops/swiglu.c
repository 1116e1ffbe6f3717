#include "ops/exec.h"

enum { GATE, UP };
enum { OUT };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_elements(call, 1u << GATE | 1u << UP));
    QN_TRY(qn__check_like(call, UP, GATE));
    if (call->attr[OUT].i) return qn__out_q8x(call, 0, GATE);
    qn__out_like(call, 0, GATE);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, call->backward ? 32 : 25, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, call->attr[OUT].i ? "swiglu_q8x" : "swiglu_fwd", "%s", "");
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[GATE]);
    qn__exec_tensor(exec, &call->in[UP]);
    if (call->attr[OUT].i) return qn__exec_blocks(exec, call, qn__elements(&call->in[GATE]) / 32);
    return qn__exec_elementwise(exec, call, qn__elements(&call->in[GATE]));
}

static qn_status bwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "swiglu_bwd", "-DQN_DGATE=%d -DQN_DUP=%d", call->din[GATE].there,
                   call->din[UP].there);
    qn__exec_tensor(exec, &call->din[GATE]);
    qn__exec_tensor(exec, &call->din[UP]);
    qn__exec_tensor(exec, &call->dout[0]);
    qn__exec_tensor(exec, &call->in[GATE]);
    qn__exec_tensor(exec, &call->in[UP]);
    return qn__exec_elementwise(exec, call, qn__elements(&call->in[GATE]));
}

static const char *refuse_tile(const qn_call *call)
{
    return call->attr[OUT].i ? "q8x is made a block an item" : qn__refuse_tile(call);
}

const qn_op qn__op_swiglu = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .bwd = bwd,
    .bwd_reads_in = 1u << GATE | 1u << UP,
    .fwd_in_place = 1u << GATE | 1u << UP,
    .bwd_in_place = true,
    .variants = (const qn_variant[]){{.name = "wide",
                                      .family = QN_WIDE,
                                      .order = QN_EXACT,
                                      .refuse = qn__refuse_wide,
                                      .settings = qn__each_settings,
                                      .refuse_setting = qn__refuse_each},
                                     {"tile", QN_TILE, QN_EXACT, refuse_tile, NULL},
                                     {"plain", QN_PLAIN, QN_EXACT, qn__refuse_never, NULL},
                                     {0}},
};
