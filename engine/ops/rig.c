#include "ops/rig.h"

#include "base/rng.h"
#include "numeric/half.h"

#include <stdlib.h>
#include <string.h>

/* As expert_sort lists `pairs` pairs that are spread evenly: (expert, its first place). */
static void fill_groups(uint32_t *groups, int64_t experts, int64_t pairs)
{
    int64_t used = experts < pairs ? experts : pairs;
    for (int64_t i = 0; i <= experts; i++) {
        groups[2 * i] = (uint32_t)(i < used ? i * experts / used : experts);
        groups[2 * i + 1] = (uint32_t)(i < used ? i * pairs / used : pairs);
    }
}

/* Elements of the input of that name; 0: there is none. */
static int64_t elements_of(const qn_call *call, const char *name)
{
    const qn_op_row *row = qn__op_row(qn__op_id(call->op));
    for (int i = 0; i < row->in_count; i++)
        if (strcmp(row->in[i].name, name) == 0) return qn__elements(&call->in[i]);
    return 0;
}

/* Numbers that any op can stand: floats in [-1, 1), integers that are small and never out of range.
 */
static qn_status fill(const qn_call *call, const qn_operand *operand, const char *name)
{
    if (qn_dtype_is_block(operand->desc.dtype)) {
        const uint32_t scales = 0x20202020; /* finite as a half or as a float: some 2^-7, 2^-63 */
        return qn__buffer_fill(operand->buffer, operand->offset, qn__desc_bytes(&operand->desc),
                               &scales, sizeof scales);
    }
    int64_t count = qn__elements(operand);
    uint32_t *values = malloc((size_t)count * 4 + 4);
    qn_rng rng = {.seed = 1, .stream = (uint64_t)count};
    if (!values) return qn__fail(QN_OS_ERROR, "out of memory");
    for (int64_t i = 0; i < count; i++) {
        float x = 2 * qn__rng_uniform(&rng) - 1;
        memcpy(&values[i], &x, 4);
        if (operand->desc.dtype == QN_I32) values[i] = (uint32_t)(i % 2);
    }
    for (int64_t i = 0; i < count && strcmp(name, "order") == 0; i++) values[i] = (uint32_t)i;
    if (strcmp(name, "groups") == 0) fill_groups(values, count / 2 - 1, elements_of(call, "order"));
    if (strcmp(name, "ranges") == 0) /* one causal sequence */
        for (int64_t r = 0; r < count / 4; r++) {
            values[r * 4] = values[r * 4 + 1] = 0;
            values[r * 4 + 2] = (uint32_t)r + 1;
            values[r * 4 + 3] = (uint32_t)(count / 4);
        }
    qn_dtype dtype = operand->desc.dtype; /* halves: narrowed in place, from the front */
    for (int64_t i = 0; i < count && (dtype == QN_F16 || dtype == QN_BF16); i++) {
        float x = qn__bits_f32(values[i]);
        uint16_t half = dtype == QN_F16 ? qn__f32_to_f16(x) : qn__f32_to_bf16(x);
        memcpy((char *)values + i * 2, &half, 2);
    }
    qn_status status = QN_OK;
    if (dtype != QN_U8)
        status = qn__buffer_write(operand->buffer, operand->offset, values,
                                  (uint64_t)count * (uint64_t)qn_dtype_bytes(dtype));
    free(values);
    return status;
}

static qn_status give_memory(qn_rig *rig, qn_operand *operand)
{
    if (!operand->there) return QN_OK;
    QN_TRY(qn__buffer_create(rig->device, qn__desc_bytes(&operand->desc), "a call by itself",
                             &rig->buffers[rig->count]));
    operand->buffer = rig->buffers[rig->count++];
    operand->offset = 0;
    return QN_OK;
}

static qn_status give_all(qn_rig *rig)
{
    qn_call *call = &rig->call;
    const qn_op_row *row = qn__op_row(qn__op_id(call->op));
    for (int i = 0; i < row->in_count; i++) QN_TRY(give_memory(rig, &call->in[i]));
    for (int o = 0; o < row->out_count; o++) {
        if (row->alias[o] >= 0) call->out[o] = call->in[row->alias[o]];
        else QN_TRY(give_memory(rig, &call->out[o]));
        QN_TRY(give_memory(rig, &call->dout[o]));
    }
    for (int i = 0; i < row->in_count; i++) QN_TRY(give_memory(rig, &call->din[i]));
    return QN_OK;
}

qn_status qn__rig_fill(qn_rig *rig)
{
    const qn_call *call = &rig->call;
    const qn_op_row *row = qn__op_row(qn__op_id(call->op));
    for (int i = 0; i < row->in_count; i++) {
        if (call->in[i].there) QN_TRY(fill(call, &call->in[i], row->in[i].name));
        if (call->din[i].there) QN_TRY(fill(call, &call->din[i], "gradient"));
    }
    for (int o = 0; o < row->out_count; o++) {
        if (call->out[o].there && row->alias[o] < 0)
            QN_TRY(fill(call, &call->out[o], row->out[o].name));
        if (call->dout[o].there) QN_TRY(fill(call, &call->dout[o], "gradient"));
    }
    return QN_OK;
}

qn_status qn__rig_make(qn_device *device, const qn_call *call, qn_rig *rig)
{
    *rig = (qn_rig){.device = device, .call = *call};
    rig->call.caps = qn__device_caps(device);
    qn_status status = give_all(rig);
    if (status == QN_OK) status = qn__rig_fill(rig);
    if (status != QN_OK) qn__rig_free(rig);
    return status;
}

qn_status qn__rig_scratch(qn_rig *rig)
{
    qn_call *call = &rig->call;
    uint64_t bytes = call->variant->scratch ? call->variant->scratch(call) : 0;
    if (bytes > rig->scratch_bytes) {
        qn__buffer_destroy(&rig->scratch);
        rig->scratch_bytes = 0;
        QN_TRY(qn__buffer_create(rig->device, bytes, "a workspace", &rig->scratch));
        rig->scratch_bytes = bytes;
    }
    call->scratch = (qn_operand){.there = rig->scratch != NULL, .buffer = rig->scratch};
    return QN_OK;
}

qn_status qn__rig_run(qn_rig *rig, qn_exec *exec, int times)
{
    const qn_call *call = &rig->call;
    for (int i = 0; i < times; i++) {
        exec->cursor = 0;
        QN_TRY(call->backward ? call->op->bwd(exec, call) : call->op->fwd(exec, call));
    }
    return qn__device_finish(rig->device);
}

void qn__rig_free(qn_rig *rig)
{
    for (int i = 0; i < rig->count; i++) qn__buffer_destroy(&rig->buffers[i]);
    qn__buffer_destroy(&rig->scratch);
    rig->count = 0;
}
