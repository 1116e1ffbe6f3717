/* The gradient of an op that builds it from others: each op that it emits runs at once. */
#include "runner.h"

#include <string.h>

/* The tensors of one gradient. */
typedef struct tape {
    test *t;
    places p;
    qn_operand handle[PLACE_LIMIT * 2];
    int count;
    int shift;
    bool again, own;
} tape;

static int add(tape *in, const qn_operand *operand)
{
    if (in->count == PLACE_LIMIT * 2) return -1;
    in->handle[in->count] = *operand;
    return in->count++;
}

static qn_status choose(tape *in, qn_call *call)
{
    call->caps = &in->t->options->caps;
    if (qn__call_choose(call, in->t->variant) == QN_OK) return QN_OK;
    return qn__call_choose(call, NULL);
}

static qn_status place_new(tape *in, const char *name, const qn_desc *desc, qn_operand *operand)
{
    place *one = place_make(&in->p, name, desc, NULL, in->shift);
    if (!one) return QN_OUT_OF_DEVICE_MEMORY;
    *operand = one->operand;
    return QN_OK;
}

/* The tensor that an emitted op writes is not written by later ones: it becomes what guards compare
 * with. */
static qn_status freeze(tape *in)
{
    for (int i = 0; i < in->p.count; i++) {
        place *one = &in->p.item[i];
        if (!one->written || strcmp(one->name, "scratch") == 0) continue;
        one->written = false;
        QN_TRY(qn__buffer_read(one->operand.buffer, 0, one->image, one->total));
    }
    return QN_OK;
}

static qn_status emit(qn_grad_builder *builder, const char *line, const int *inputs, int n,
                      int *output)
{
    tape *in = builder->user;
    qn_call call = {0};
    qn_op_id id;
    QN_TRY(qn__op_parse(line, &id, call.attr, NULL));
    call.op = qn__op(id);
    for (int i = 0; i < n; i++)
        if (inputs[i] >= 0) call.in[i] = in->handle[inputs[i]];
    QN_TRY(qn__call_shape(&call));
    const qn_op_row *row = qn__op_row(id);
    for (int o = 0; o < row->out_count; o++)
        if (call.out[o].there) QN_TRY(place_new(in, row->stem, &call.out[o].desc, &call.out[o]));
    QN_TRY(choose(in, &call));
    uint64_t bytes = call.variant->scratch ? call.variant->scratch(&call) : 0;
    qn_desc desc = {.dtype = QN_F32, .shape = {.rank = 1, .dim = {(int64_t)((bytes + 3) / 4)}}};
    if (bytes) QN_TRY(place_new(in, "scratch", &desc, &call.scratch));
    if (!run_placed(in->t, &in->p, &call, in->again))
        return qn__fail(QN_INTERNAL, "emitted op failed: %s", line);
    QN_TRY(freeze(in));
    in->own |= call.variant->order == QN_OWN;
    *output = add(in, &call.out[0]);
    return *output < 0 ? qn__fail(QN_INTERNAL, "too many tensors in a gradient") : QN_OK;
}

static qn_status reshape(qn_grad_builder *builder, int tensor, const qn_shape *shape, int *output)
{
    tape *in = builder->user;
    qn_operand operand = in->handle[tensor];
    QN_CHECK(qn_shape_elements(shape) == qn__elements(&operand),
             "reshape to another number of elements");
    operand.desc.shape = *shape;
    *output = add(in, &operand);
    return *output < 0 ? qn__fail(QN_INTERNAL, "too many tensors in a gradient") : QN_OK;
}

static int place_known(tape *in, const char *name, const host *h, bool read)
{
    if (!h->there) return -1;
    bool hide = !read && h->desc.dtype != QN_I32;
    place *one = place_make(&in->p, name, &h->desc, hide ? NULL : h->raw, in->shift);
    if (!one) return -1;
    one->written = false;
    return add(in, &one->operand);
}

static bool read_gradient(tape *in, const qn_grad_builder *builder, int i, host *to)
{
    test *t = in->t;
    const qn_desc *desc = &t->in[i].desc;
    const qn_operand *din = builder->din[i] >= 0 ? &in->handle[builder->din[i]] : NULL;
    if (!din) { /* none: zero */
        host_make(to, desc);
        return true;
    }
    char got[96];
    /* A gradient of 16-bit values may be in f32. */
    if (!qn_shape_equal(&din->desc.shape, &desc->shape) ||
        (din->desc.dtype != desc->dtype && din->desc.dtype != QN_F32)) {
        test_fail(t, "the gradient of %s is %s", t->row->in[i].name,
                  qn__desc_text(&din->desc, got, sizeof got));
        return false;
    }
    for (int k = 0; k < in->p.count; k++)
        if (in->p.item[k].operand.buffer == din->buffer &&
            place_read(&in->p.item[k], &din->desc, to) == QN_OK)
            return true;
    test_fail(t, "reading a gradient: %s", qn_last_error());
    return false;
}

bool run_graph(test *t, const manner *how, const result *fwd, result *r)
{
    tape all = {
        .t = t, .p = {.device = t->options->device}, .shift = how->shift, .again = how->again};
    const host *dout = how->dout ? how->dout : t->dout;
    const qn_op *op = t->call.op;
    qn_grad_builder builder = {.call = &t->call, .emit = emit, .reshape = reshape, .user = &all};
    *r = (result){0};
    for (int i = 0; i < QN_OP_MAX_IN; i++) {
        builder.in[i] = place_known(&all, "input", &t->in[i], op->bwd_reads_in >> i & 1);
        builder.din[i] = -1;
        builder.wanted[i] = how->wanted >> i & 1;
    }
    for (int o = 0; o < QN_OP_MAX_OUT; o++) {
        builder.out[o] = place_known(&all, "output", &fwd->out[o], op->bwd_reads_out >> o & 1);
        builder.dout[o] = place_known(&all, "dy", &dout[o], true);
    }
    bool good = op->grad(&builder) == QN_OK;
    if (!good && !t->failed) test_fail(t, "gradient: %s", qn_last_error());
    for (int i = 0; good && i < t->row->in_count; i++)
        if (how->wanted >> i & 1) good = read_gradient(&all, &builder, i, &r->din[i]);
    r->own = all.own;
    place_free(&all.p);
    if (!good) result_free(r);
    return good;
}
