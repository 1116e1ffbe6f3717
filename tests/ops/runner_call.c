/* A call on the device: operands placed, launched, read back. */
#include "runner.h"

#include <stdlib.h>
#include <string.h>

static bool choose(test *t, qn_call *call)
{
    call->caps = &t->options->caps;
    if (qn__call_choose(call, t->variant) == QN_OK) return true;
    test_fail(t, "%s: %s", call->backward ? "backward" : "forward", qn_last_error());
    return false;
}

static bool place_scratch(test *t, places *p, qn_call *call, int shift)
{
    uint64_t bytes = call->variant->scratch ? call->variant->scratch(call) : 0;
    if (bytes == 0) return true;
    qn_desc desc = {.dtype = QN_F32, .shape = {.rank = 1, .dim = {(int64_t)((bytes + 3) / 4)}}};
    place *scratch = place_make(p, "scratch", &desc, NULL, shift);
    if (scratch) call->scratch = scratch->operand;
    else test_fail(t, "scratch: %s", qn_last_error());
    return scratch != NULL;
}

static void count_launch(void *user, const char *file, const char *flags, const char *kernel)
{
    (void)file;
    (void)flags;
    (void)kernel;
    ++*(int *)user;
}

static qn_status launch(qn_exec *exec, const qn_call *call)
{
    exec->cursor = 0;
    return call->backward ? call->op->bwd(exec, call) : call->op->fwd(exec, call);
}

/* What a plan records without a device is what runs. */
static bool check_record(test *t, const qn_call *call, const qn_exec *ran)
{
    int recorded = 0;
    qn_call bare = *call;
    qn_operand *groups[] = {bare.in, bare.out, bare.dout, bare.din};
    const int counts[] = {QN_OP_MAX_IN, QN_OP_MAX_OUT, QN_OP_MAX_OUT, QN_OP_MAX_IN};
    for (int g = 0; g < 4; g++)
        for (int i = 0; i < counts[g]; i++) groups[g][i].buffer = NULL;
    bare.scratch.buffer = NULL;
    qn_exec exec = {.record = count_launch, .record_user = &recorded};
    qn_status status = launch(&exec, &bare);
    qn__exec_free(&exec);
    if (status != QN_OK) test_fail(t, "recording: %s", qn_last_error());
    else if (recorded != ran->bound_count)
        test_fail(t, "%d kernels are recorded, %d are launched", recorded, ran->bound_count);
    return status == QN_OK && recorded == ran->bound_count;
}

bool run_placed(test *t, places *p, qn_call *call, bool again)
{
    qn_exec exec = {.device = t->options->device};
    qn_status status = launch(&exec, call);
    if (status == QN_OK) status = qn__device_finish(t->options->device);
    if (status == QN_OK && again) {
        status = place_reset(p);
        if (status == QN_OK) status = launch(&exec, call);
        if (status == QN_OK) status = qn__device_finish(t->options->device);
    }
    if (status != QN_OK)
        test_fail(t, "%s: %s: %s", call->backward ? "backward" : "forward", qn_status_name(status),
                  qn_last_error());
    bool good = status == QN_OK && check_record(t, call, &exec) && place_check(t, p);
    qn__exec_free(&exec);
    t->options->runs++;
    return good;
}

static bool place_inputs(test *t, places *p, qn_call *call, int shift)
{
    for (int i = 0; i < t->row->in_count; i++) {
        if (!t->in[i].there) continue;
        place *one = place_make(p, t->row->in[i].name, &t->in[i].desc, t->in[i].raw, shift);
        if (!one) return false;
        one->written = t->row->in[i].in_place;
        call->in[i] = one->operand;
    }
    return true;
}

static void mark_written(places *p, const qn_buffer *buffer)
{
    for (int i = 0; i < p->count; i++)
        if (p->item[i].operand.buffer == buffer) p->item[i].written = true;
}

/* Outputs that are an input of their name lie there; output 0 lies over `over` where that is asked.
 */
static bool place_outputs(test *t, places *p, qn_call *call, const manner *how)
{
    for (int o = 0; o < t->row->out_count; o++) {
        if (!call->out[o].there) continue;
        int over = t->row->alias[o] >= 0 ? t->row->alias[o] : o == 0 ? how->over : NO_INPUT;
        if (over >= 0) {
            mark_written(p, call->in[over].buffer);
            qn_desc desc = call->out[o].desc;
            call->out[o] = call->in[over];
            call->out[o].desc = desc;
            continue;
        }
        place *one = place_make(p, t->row->out[o].name, &call->out[o].desc, NULL, how->shift);
        if (!one) return false;
        call->out[o] = one->operand;
    }
    return true;
}

static bool read_back(test *t, places *p, const char *name, const qn_operand *from, host *to)
{
    for (int i = 0; i < p->count; i++)
        if (p->item[i].operand.buffer == from->buffer &&
            place_read(&p->item[i], &from->desc, to) == QN_OK)
            return true;
    test_fail(t, "reading %s: %s", name, qn_last_error());
    return false;
}

bool run_forward(test *t, const manner *how, result *r)
{
    places p = {.device = t->options->device};
    qn_call call = t->call;
    *r = (result){0};
    bool good = place_inputs(t, &p, &call, how->shift) && place_outputs(t, &p, &call, how);
    if (!good) test_fail(t, "placing operands: %s", qn_last_error());
    good = good && choose(t, &call) && place_scratch(t, &p, &call, how->shift) &&
           run_placed(t, &p, &call, how->again);
    for (int o = 0; good && o < t->row->out_count; o++)
        if (call.out[o].there)
            good = read_back(t, &p, t->row->out[o].name, &call.out[o], &r->out[o]);
    r->own = good && call.variant->order == QN_OWN;
    place_free(&p);
    if (!good) result_free(r);
    return good;
}

/* What the op does not say it reads holds no number: NaN, or 0 for integers. */
static bool place_read_tensor(places *p, const char *name, const host *h, bool read, int shift,
                              qn_operand *operand)
{
    void *zeros = !read && h->desc.dtype == QN_I32 ? calloc(1, h->bytes ? h->bytes : 1) : NULL;
    place *one = place_make(p, name, &h->desc, read ? h->raw : zeros, shift);
    free(zeros);
    if (!one) return false;
    one->written = false;
    *operand = one->operand;
    return true;
}

static bool place_backward(test *t, places *p, qn_call *call, const manner *how, const result *fwd)
{
    const qn_op *op = call->op;
    const host *dout = how->dout ? how->dout : t->dout;
    for (int i = 0; i < t->row->in_count; i++)
        if (t->in[i].there &&
            !place_read_tensor(p, t->row->in[i].name, &t->in[i], op->bwd_reads_in >> i & 1,
                               how->shift, &call->in[i]))
            return false;
    for (int o = 0; o < t->row->out_count; o++) {
        if (fwd->out[o].there &&
            !place_read_tensor(p, t->row->out[o].name, &fwd->out[o], op->bwd_reads_out >> o & 1,
                               how->shift, &call->out[o]))
            return false;
        if (dout[o].there &&
            !place_read_tensor(p, "dy", &dout[o], true, how->shift, &call->dout[o]))
            return false;
    }
    for (int i = 0; i < t->row->in_count; i++) {
        if (!(how->wanted >> i & 1)) continue;
        if (i == 0 && how->over != NO_INPUT) {
            call->din[0] = how->over == 0 ? call->dout[0] : call->in[0];
            mark_written(p, call->din[0].buffer);
            continue;
        }
        qn_desc desc = t->in[i].desc;
        if (t->call.op->grad_f32 >> i & 1) desc.dtype = QN_F32;
        place *one = place_make(p, t->row->in[i].name, &desc, NULL, how->shift);
        if (!one) return false;
        call->din[i] = one->operand;
    }
    return true;
}

bool run_backward(test *t, const manner *how, const result *fwd, result *r)
{
    if (t->row->gradient == QN_GRAD_GRAPH) return run_graph(t, how, fwd, r);
    places p = {.device = t->options->device};
    qn_call call = t->call;
    call.backward = true;
    *r = (result){0};
    bool good = place_backward(t, &p, &call, how, fwd);
    if (!good) test_fail(t, "placing operands: %s", qn_last_error());
    good = good && choose(t, &call) && place_scratch(t, &p, &call, how->shift) &&
           run_placed(t, &p, &call, how->again);
    for (int i = 0; good && i < t->row->in_count; i++)
        if (how->wanted >> i & 1)
            good = read_back(t, &p, t->row->in[i].name, &call.din[i], &r->din[i]);
    r->own = good && call.variant->order == QN_OWN;
    place_free(&p);
    if (!good) result_free(r);
    return good;
}
