/* Tensors that live in host memory pass through the device: fetched into the step arena on the
 * transfer queue while other kernels run, and sent back after the launch that wrote them. */
#include "graph/plan.h"

#include "base/check.h"

#include <string.h>

static qn_status new_node(qn_graph *graph, int kind, int from, int to)
{
    qn_node *node;
    QN_TRY(qn__graph_new_node(graph, &node));
    node->op = kind;
    node->in[0] = from;
    node->out[0] = to;
    return QN_OK;
}

static qn_status check_host(const qn_graph *graph, int tensor)
{
    int index = graph->tensors[tensor]->store;
    QN_CHECK(index >= 0 && qn__store_is_host(graph->store, index),
             "only tensors in host memory are fetched and sent");
    return QN_OK;
}

qn_status qn__graph_fetch(qn_graph *graph, int from, int *output)
{
    QN_TRY(check_host(graph, from));
    QN_TRY(qn__graph_new_tensor(graph, &graph->tensors[from]->desc, output));
    return new_node(graph, QN_OP_FETCH, from, *output);
}

qn_status qn__graph_send(qn_graph *graph, int tensor, int to)
{
    QN_TRY(check_host(graph, to));
    const qn_desc *a = &graph->tensors[tensor]->desc, *b = &graph->tensors[to]->desc;
    QN_CHECK(qn__desc_bytes(a) == qn__desc_bytes(b), "%llu bytes are sent to %llu",
             (unsigned long long)qn__desc_bytes(a), (unsigned long long)qn__desc_bytes(b));
    return new_node(graph, QN_OP_SEND, tensor, to);
}

/* ---- what waits for what ---- */

typedef struct reader {
    const qn_plan *plan;
    int step, after;
    bool unknown; /* touches step memory that no fetch has filled */
} reader;

static void see(void *user, int tensor, bool write)
{
    reader *r = user;
    const qn_tensor *t = r->plan->graph->tensors[tensor];
    (void)write;
    if (t->store >= 0) return;
    for (int i = r->step - 1; i >= 0; i--) {
        const qn_node *node = &r->plan->steps[i].node;
        if (node->op != QN_OP_FETCH || r->plan->graph->tensors[node->out[0]]->root != t->root)
            continue;
        if (i > r->after) r->after = i;
        return;
    }
    r->unknown = true;
}

/* A launch waits for the last fetch of what it reads, and one that uses other step memory for all
 * transfers before it: what was there may still be on its way out. */
void qn__plan_link_transfers(qn_plan *plan)
{
    for (int i = 0; i < plan->step_count; i++) {
        qn_step *step = &plan->steps[i];
        step->after = QN_AFTER_NONE;
        plan->transfers |= step->node.op == QN_OP_FETCH || step->node.op == QN_OP_SEND;
    }
    if (!plan->transfers) return;
    for (int i = 0; i < plan->step_count; i++) {
        reader r = {.plan = plan, .step = i, .after = QN_AFTER_NONE};
        if (plan->steps[i].node.op < 0) continue;
        qn__node_each(&plan->steps[i].node, see, &r);
        plan->steps[i].after = r.unknown ? QN_AFTER_ALL : r.after;
    }
}

/* ---- running ---- */

static char *host_side(const qn_plan *plan, int tensor)
{
    const qn_tensor *t = plan->graph->tensors[tensor];
    return (char *)qn__store_host_data(plan->store, t->store) + t->offset;
}

qn_status qn__step_transfer(qn_plan *plan, qn_step *step)
{
    const qn_operand *in = &step->call.in[0], *out = &step->call.out[0];
    if (step->node.op == QN_OP_FETCH)
        return qn__transfer_in(out->buffer, out->offset, host_side(plan, step->node.in[0]),
                               qn__desc_bytes(&out->desc), &step->transfer);
    QN_TRY(qn__transfer_after_compute(plan->store->device));
    return qn__transfer_out(in->buffer, in->offset, host_side(plan, step->node.out[0]),
                            qn__desc_bytes(&in->desc));
}

qn_status qn__step_wait(qn_plan *plan, const qn_step *step)
{
    if (step->after == QN_AFTER_NONE) return QN_OK;
    if (step->after == QN_AFTER_ALL) return qn__compute_after_transfers(plan->store->device);
    return qn__compute_after(plan->store->device, &plan->steps[step->after].transfer);
}
