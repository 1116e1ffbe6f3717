/* Collectives inside a plan: device segments end here, the host speaks to the other ranks, and the
 * next segment begins with what they agreed on. */
#include "base/check.h"
#include "graph/plan.h"

#include <stdio.h>
#include <stdlib.h>

const char *qn__step_text(const qn_step *step, char *text, size_t bytes)
{
    static const char *const kinds[] = {"sum", "max", "min"};
    char desc[96];
    if (step->node.op == QN_OP_FETCH || step->node.op == QN_OP_SEND) {
        snprintf(text, bytes, "%s : x=%s", step->node.op == QN_OP_FETCH ? "fetch" : "send",
                 qn__desc_text(&step->call.in[0].desc, desc, sizeof desc));
        return text;
    }
    if (step->node.op != QN_OP_COMM) return qn__call_text(&step->call, text, bytes);
    snprintf(text, bytes, "all_reduce kind=%s : x=%s", kinds[step->node.attr[0].i],
             qn__desc_text(&step->call.in[0].desc, desc, sizeof desc));
    return text;
}

void qn__plan_set_comm(qn_plan *plan, qn_comm *comm)
{
    plan->comm = comm;
}

qn_status qn__step_communicate(qn_plan *plan, const qn_step *step)
{
    const qn_operand *x = &step->call.in[0];
    uint64_t bytes = qn__desc_bytes(&x->desc);
    int ticket;
    if (!plan->comm)
        return qn__fail(QN_INTERNAL, "the plan has a collective, and nobody to speak to");
    if (bytes > plan->staging_bytes) {
        float *more = realloc(plan->staging, bytes);
        if (!more)
            return qn__fail(QN_OS_ERROR, "no memory for %llu bytes", (unsigned long long)bytes);
        plan->staging = more;
        plan->staging_bytes = bytes;
    }
    QN_TRY(qn__buffer_read(x->buffer, x->offset, plan->staging, bytes));
    QN_TRY(plan->comm->all_reduce(plan->comm, (qn_comm_op)step->node.attr[0].i, plan->staging,
                                  bytes / 4, &ticket));
    QN_TRY(plan->comm->progress(plan->comm));
    QN_TRY(plan->comm->wait(plan->comm, ticket, 0, bytes));
    return qn__buffer_write(x->buffer, x->offset, plan->staging, bytes);
}
