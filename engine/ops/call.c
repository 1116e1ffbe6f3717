/* What is common to all calls: checks against the row, choice of a variant, text, cost. */
#include "ops/op.h"

#include <stdio.h>
#include <string.h>

static size_t add_tensor(char *text, size_t used, size_t bytes, const char *name,
                         const qn_operand *operand)
{
    char desc[96];
    if (!operand->there || used >= bytes) return used;
    return used + (size_t)snprintf(text + used, bytes - used, " %s=%s", name,
                                   qn__desc_text(&operand->desc, desc, sizeof desc));
}

const char *qn__call_text(const qn_call *call, char *text, size_t bytes)
{
    const qn_op_row *row = qn__op_row(qn__op_id(call->op));
    size_t used = (size_t)snprintf(text, bytes, "%s", row->stem);
    for (int i = 0; i < row->attr_count && used < bytes; i++) {
        const qn_op_attr *attr = &row->attr[i];
        if (call->attr[i].f == attr->value.f) continue;
        if (attr->kind == 'e')
            used += (size_t)snprintf(text + used, bytes - used, " %s=%s", attr->name,
                                     attr->words[call->attr[i].i]);
        else
            used += (size_t)snprintf(text + used, bytes - used, " %s=%.9g", attr->name,
                                     call->attr[i].f);
    }
    if (used < bytes) used += (size_t)snprintf(text + used, bytes - used, " :");
    for (int i = 0; i < row->in_count; i++)
        used = add_tensor(text, used, bytes, row->in[i].name, &call->in[i]);
    for (int o = 0; o < row->out_count; o++)
        if (row->out[o].optional && call->out[o].there && used < bytes)
            used += (size_t)snprintf(text + used, bytes - used, " +%s", row->out[o].name);
    if (call->backward && used < bytes) snprintf(text + used, bytes - used, " (backward)");
    return text;
}

qn_status qn__call_shape(qn_call *call)
{
    const qn_op_row *row = qn__op_row(qn__op_id(call->op));
    for (int i = 0; i < row->in_count; i++) {
        if (!call->in[i].there && !row->in[i].optional)
            return qn__fail(QN_BAD_ARGUMENT, "%s: input %s is missing", row->stem, row->in[i].name);
        if (!call->in[i].there) continue;
        QN_TRY(qn__shape_check(&call->in[i].desc.shape, call->in[i].desc.dtype));
        if (row->in[i].integer)
            QN_TRY(qn__check_dtype(call, i, QN_I32)); /* else the op's own rule */
    }
    QN_TRY(call->op->shape(call));
    for (int o = 0; o < row->out_count; o++)
        if (call->out[o].there)
            QN_TRY(qn__shape_check(&call->out[o].desc.shape, call->out[o].desc.dtype));
    return QN_OK;
}

/* "/deep" after the variant's name, "" for its preset. */
static qn_status choose_setting(qn_call *call, const char *name)
{
    const qn_variant *variant = call->variant;
    const char *stem = qn__op_row(qn__op_id(call->op))->stem;
    call->setting = variant->preset ? variant->preset(call) : 0;
    if (!*name) return QN_OK;
    for (int i = 0; variant->settings && variant->settings[i].name; i++) {
        if (strcmp(variant->settings[i].name, name + 1) != 0) continue;
        const char *why = variant->refuse_setting ? variant->refuse_setting(call, i) : NULL;
        if (why && i != call->setting)
            return qn__fail(QN_UNSUPPORTED, "%s: setting %s of variant %s does not apply: %s", stem,
                            name + 1, variant->name, why);
        call->setting = i;
        return QN_OK;
    }
    return qn__fail(QN_UNSUPPORTED, "%s: variant %s has no setting %s", stem, variant->name,
                    name + 1);
}

qn_status qn__call_choose(qn_call *call, const char *force)
{
    const char *stem = qn__op_row(qn__op_id(call->op))->stem;
    size_t length = force ? strcspn(force, "/") : 0;
    call->variant = NULL;
    call->setting = 0;
    for (const qn_variant *variant = call->op->variants; variant->name; variant++) {
        bool named =
            force && strlen(variant->name) == length && memcmp(variant->name, force, length) == 0;
        if (force ? !named : variant->only_forced) continue;
        const char *why = variant->refuse(call);
        if (!why) {
            call->variant = variant;
            return choose_setting(call, force ? force + length : "");
        }
        if (force)
            return qn__fail(QN_UNSUPPORTED, "%s: variant %s does not apply: %s", stem,
                            variant->name, why);
    }
    return qn__fail(force ? QN_UNSUPPORTED : QN_INTERNAL, "%s: no variant %s", stem,
                    force ? force : "applies");
}

qn_cost qn__call_cost(const qn_call *call)
{
    qn_cost cost = {0};
    call->op->cost(call, &cost);
    return cost;
}

double qn__call_peak(const qn_call *call)
{
    const qn_caps *caps = call->caps;
    bool unit = call->variant && call->variant->family == QN_MATRIX && caps->peak_matrix_gflops > 0;
    return (unit ? caps->peak_matrix_gflops : caps->peak_gflops) * 1e9;
}

void qn__out_shape(qn_call *call, int out, qn_dtype dtype, const qn_shape *shape)
{
    call->out[out].there = true;
    call->out[out].desc = (qn_desc){.dtype = dtype, .layout = QN_ROWS, .shape = *shape};
}

void qn__out_like(qn_call *call, int out, int in)
{
    qn__out_shape(call, out, call->in[in].desc.dtype, &call->in[in].desc.shape);
}

qn_status qn__out_q8x(qn_call *call, int out, int in)
{
    int64_t cols = qn__cols(&call->in[in]);
    QN_CHECK(cols % 32 == 0, "%s: rows of %lld elements; q8x has whole blocks of 32",
             qn__op_row(qn__op_id(call->op))->stem, (long long)cols);
    qn__out_shape(call, out, QN_Q8X, &call->in[in].desc.shape);
    return QN_OK;
}

qn_dtype qn__out_type(const qn_call *call, int attr, int in)
{
    static const qn_dtype types[] = {QN_F32, QN_F32, QN_F16, QN_BF16};
    int64_t word = call->attr[attr].i;
    return word == 0 ? call->in[in].desc.dtype : types[word];
}

static const char *slot_name(const qn_call *call, int in)
{
    return qn__op_row(qn__op_id(call->op))->in[in].name;
}

static const char *stem_of(const qn_call *call)
{
    return qn__op_row(qn__op_id(call->op))->stem;
}

qn_status qn__check_dtype(const qn_call *call, int in, qn_dtype dtype)
{
    QN_CHECK(call->in[in].desc.dtype == dtype, "%s: input %s is %s; it must be %s", stem_of(call),
             slot_name(call, in), qn_dtype_name(call->in[in].desc.dtype), qn_dtype_name(dtype));
    return QN_OK;
}

qn_status qn__check_rank(const qn_call *call, int in, int low, int high)
{
    int rank = call->in[in].desc.shape.rank;
    QN_CHECK(rank >= low && rank <= high, "%s: input %s has %d dimensions; it must have %d to %d",
             stem_of(call), slot_name(call, in), rank, low, high);
    return QN_OK;
}

qn_status qn__check_dim(const qn_call *call, int in, int axis, int64_t want)
{
    const qn_shape *shape = &call->in[in].desc.shape;
    int64_t got = axis < shape->rank ? shape->dim[axis] : -1;
    QN_CHECK(got == want, "%s: dimension %d of input %s is %lld; it must be %lld", stem_of(call),
             axis, slot_name(call, in), (long long)got, (long long)want);
    return QN_OK;
}

bool qn__is_float(qn_dtype dtype)
{
    return dtype == QN_F32 || dtype == QN_F16 || dtype == QN_BF16;
}

qn_status qn__check_f32(const qn_call *call)
{
    return qn__check_elements(call, 0);
}

qn_status qn__check_cached(const qn_call *call, int in)
{
    const qn_desc *desc = &call->in[in].desc;
    QN_CHECK(qn__is_float(desc->dtype) || desc->dtype == QN_Q8_0 || desc->dtype == QN_Q4_0,
             "%s: input %s is %s; it must be f32, f16, bf16, q8_0 or q4_0", stem_of(call),
             slot_name(call, in), qn_dtype_name(desc->dtype));
    QN_CHECK(desc->layout == QN_ROWS, "%s: input %s is not row-major", stem_of(call),
             slot_name(call, in));
    return QN_OK;
}

qn_status qn__check_elements(const qn_call *call, uint32_t mask)
{
    const qn_op_row *row = qn__op_row(qn__op_id(call->op));
    int first = -1;
    for (int i = 0; i < row->in_count; i++) {
        if (!call->in[i].there) continue;
        if (!(mask >> i & 1u))
            QN_TRY(qn__check_dtype(call, i, row->in[i].integer ? QN_I32 : QN_F32));
        else
            QN_CHECK(qn__is_float(call->in[i].desc.dtype),
                     "%s: input %s is %s; it must be f32, f16 or bf16", row->stem, row->in[i].name,
                     qn_dtype_name(call->in[i].desc.dtype));
        if (mask >> i & 1u) {
            if (first < 0) first = i;
            else QN_TRY(qn__check_type_like(call, i, first));
        }
        QN_CHECK(call->in[i].desc.layout == QN_ROWS, "%s: input %s is not row-major", row->stem,
                 row->in[i].name);
    }
    return QN_OK;
}

qn_status qn__check_word(const qn_call *call, int in)
{
    const qn_desc *desc = &call->in[in].desc;
    QN_CHECK(desc->dtype == QN_I32 || qn__is_float(desc->dtype),
             "%s: input %s is %s; it must be f32, f16, bf16 or i32", stem_of(call),
             slot_name(call, in), qn_dtype_name(desc->dtype));
    QN_CHECK(desc->layout == QN_ROWS, "%s: input %s is not row-major", stem_of(call),
             slot_name(call, in));
    return QN_OK;
}

qn_status qn__check_type_like(const qn_call *call, int in, int like)
{
    const qn_desc *a = &call->in[in].desc, *b = &call->in[like].desc;
    QN_CHECK(a->dtype == b->dtype && a->layout == b->layout,
             "%s: input %s is %s and input %s is %s; they must agree", stem_of(call),
             slot_name(call, in), qn_dtype_name(a->dtype), slot_name(call, like),
             qn_dtype_name(b->dtype));
    return QN_OK;
}

qn_status qn__check_like(const qn_call *call, int in, int like)
{
    const qn_desc *a = &call->in[in].desc, *b = &call->in[like].desc;
    char got[96], want[96];
    QN_TRY(qn__check_type_like(call, in, like));
    QN_CHECK(qn_shape_equal(&a->shape, &b->shape),
             "%s: input %s is %s; it must be %s, as input %s is", stem_of(call),
             slot_name(call, in), qn__desc_text(a, got, sizeof got),
             qn__desc_text(b, want, sizeof want), slot_name(call, like));
    return QN_OK;
}

qn_status qn__check_axis(const qn_call *call)
{
    int rank = call->in[0].desc.shape.rank;
    QN_CHECK(call->attr[0].i >= 0 && call->attr[0].i < rank, "%s: axis %lld is outside [0, %d)",
             stem_of(call), (long long)call->attr[0].i, rank);
    return QN_OK;
}

int64_t qn__elements(const qn_operand *operand)
{
    return qn_shape_elements(&operand->desc.shape);
}

int64_t qn__cols(const qn_operand *operand)
{
    const qn_shape *shape = &operand->desc.shape;
    return shape->rank > 0 ? shape->dim[shape->rank - 1] : 1;
}

int64_t qn__rows(const qn_operand *operand)
{
    const qn_shape *shape = &operand->desc.shape;
    return shape->rank > 0 ? qn__shape_span(shape, 0, shape->rank - 1) : 1;
}

static double bytes_of(const qn_operand *operands, int count, uint32_t which)
{
    double bytes = 0;
    for (int i = 0; i < count; i++)
        if (operands[i].there && (which >> i & 1u))
            bytes += (double)qn__desc_bytes(&operands[i].desc);
    return bytes;
}

void qn__cost_elementwise(const qn_call *call, double flops_per_element, qn_cost *cost)
{
    const qn_operand *first = call->backward ? &call->dout[0] : &call->out[0];
    cost->flops = flops_per_element * (first->there ? (double)qn__elements(first) : 0.0);
    uint32_t in = call->backward ? call->op->bwd_reads_in : ~0u;
    uint32_t out = call->backward ? call->op->bwd_reads_out : ~0u;
    cost->bytes = bytes_of(call->in, QN_OP_MAX_IN, in) + bytes_of(call->out, QN_OP_MAX_OUT, out);
    if (!call->backward) return;
    cost->bytes +=
        bytes_of(call->dout, QN_OP_MAX_OUT, ~0u) + bytes_of(call->din, QN_OP_MAX_IN, ~0u);
}

const char *qn__refuse_never(const qn_call *call)
{
    (void)call;
    return NULL;
}

const char *qn__refuse_wide(const qn_call *call)
{
    if (call->caps->type != QN_CPU) return "the device is not a CPU";
    if (!qn__proven(call->caps, QN_PROBE_VECTOR16))
        return "probe vector16 is not proven on this device";
    return NULL;
}

int64_t qn__launch_parts(const qn_call *call, double flops)
{
    const double longest_s = 0.5, share = 0.2, unknown = 100;
    double gflops = call->caps->peak_gflops > 0 ? call->caps->peak_gflops : unknown;
    double parts = flops / (longest_s * share * gflops * 1e9);
    if (call->caps->type == QN_CPU || parts <= 1) return 1;
    return parts < 1e9 ? (int64_t)parts + 1 : 1000000000;
}

const char *qn__refuse_tile(const qn_call *call)
{
    if (!qn__proven(call->caps, QN_PROBE_LOCAL)) return "probe local is not proven on this device";
    if (call->caps->max_group < 256) return "the device runs groups of less than 256";
    if (call->caps->local_bytes < 16384) return "the device has less than 16 KB of local memory";
    return NULL;
}
