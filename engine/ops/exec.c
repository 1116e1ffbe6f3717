#include "ops/exec.h"

#include "base/checked.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    GROUP = 64,
    TILE_GROUP = 256, /* of elementwise tile kernels */
    GROUP_ROWS = 4,   /* rows of a tile group, as in rows.clh */
    EACH_BLOCK = 4096,
    WIDE_BLOCKS = 16, /* of 32 elements, as QN_BLOCK_ITEM */
    COLUMN_ROWS = 64,
    STRIP = 1024
}; /* as in elementwise.clh, columns.clh */

static void stick(qn_exec *exec, qn_status status)
{
    if (exec->status == QN_OK) exec->status = status;
}

static void bind_kernel(qn_exec *exec, const char *file, const char *options, const char *name)
{
    if (exec->cursor == exec->bound_capacity) {
        int capacity = exec->bound_capacity ? exec->bound_capacity * 2 : 4;
        qn_kernel **more = realloc(exec->bound, (size_t)capacity * sizeof *more);
        if (!more) {
            stick(exec, qn__fail(QN_OS_ERROR, "out of memory"));
            return;
        }
        exec->bound = more;
        exec->bound_capacity = capacity;
    }
    qn_kernel *kernel = NULL;
    stick(exec, qn__device_kernel(exec->device, file, options, name, &kernel));
    exec->bound[exec->cursor] = kernel;
    exec->bound_count = exec->cursor + 1;
}

void qn__exec_begin_file(qn_exec *exec, const char *file, const char *name, const char *options)
{
    exec->arg = 0;
    exec->kernel = NULL;
    if (exec->status != QN_OK) return;
    if (exec->record) {
        exec->record(exec->record_user, file, options, name);
        return;
    }
    if (exec->cursor >= exec->bound_count) bind_kernel(exec, file, options, name);
    if (exec->status == QN_OK) exec->kernel = exec->bound[exec->cursor];
    exec->cursor++;
}

/* 1 + the first of `count` ways that is proven; 0: none. */
static int first_proven(const qn_caps *caps, const qn_probe_id *ways, int count)
{
    for (int i = 0; i < count; i++)
        if (qn__proven(caps, ways[i])) return i + 1;
    return 0;
}

/* QN_SHUFFLE of shuffle.clh. */
static int shuffle_of(const qn_caps *caps)
{
    static const qn_probe_id ways[] = {QN_PROBE_SHUFFLE_PTX, QN_PROBE_SHUFFLE_INTEL,
                                       QN_PROBE_SHUFFLE_KHR, QN_PROBE_SHUFFLE_AMD};
    return first_proven(caps, ways, 4);
}

const char *qn__exec_dot(const qn_call *call)
{
    static const char *const options[] = {"", " -DQN_DOT=1", " -DQN_DOT=2 -cl-std=CL3.0",
                                          " -DQN_DOT=3", " -DQN_DOT=4"};
    static const qn_probe_id ways[] = {QN_PROBE_DOT_PTX, QN_PROBE_DOT_KHR, QN_PROBE_DOT_AMD,
                                       QN_PROBE_DOT_AMD11};
    return options[call->variant->family == QN_TILE ? first_proven(call->caps, ways, 4) : 0];
}

void qn__exec_begin(qn_exec *exec, const qn_call *call, const char *name, const char *options, ...)
{
    static const char *const endings[] = {[QN_PLAIN] = "",
                                          [QN_WIDE] = ".wide",
                                          [QN_TILE] = ".tile",
                                          [QN_MATRIX] = ".matrix",
                                          [QN_CLBLAST] = ""};
    if (!exec->record && exec->cursor < exec->bound_count) { /* found before: no text to build */
        qn__exec_begin_file(exec, "", name, "");
        return;
    }
    char file[64], text[512];
    va_list args;
    va_start(args, options);
    vsnprintf(text, sizeof text, options, args);
    va_end(args);
    const qn_setting *settings = call->variant->settings;
    if (settings && settings[call->setting].macros) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s", used ? " " : "",
                 settings[call->setting].macros);
    }
    if (call->variant->family == QN_TILE) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s-DQN_SHUFFLE=%d", used ? " " : "",
                 shuffle_of(call->caps));
    }
    qn_dtype first = call->in[0].desc.dtype; /* QN_F32, QN_F16, QN_BF16 are 0, 1, 2 as QN_T is */
    if (call->in[0].there && (first == QN_F16 || first == QN_BF16)) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s-DQN_T=%d", used ? " " : "", (int)first);
    }
    snprintf(file, sizeof file, "%s%s.cl", qn__op_row(qn__op_id(call->op))->stem,
             endings[call->variant->family]);
    qn__exec_begin_file(exec, file, name, text);
}

static void add(qn_exec *exec, size_t bytes, const void *value)
{
    if (exec->kernel && exec->status == QN_OK)
        stick(exec, qn__kernel_arg(exec->kernel, exec->arg, bytes, value));
    exec->arg++;
}

static void add_buffer(qn_exec *exec, const qn_buffer *buffer, uint64_t elements)
{
    if (exec->kernel && exec->status == QN_OK)
        stick(exec, qn__kernel_arg_buffer(exec->kernel, exec->arg, buffer));
    exec->arg++;
    add(exec, sizeof elements, &elements);
}

/* What a kernel counts a tensor's place in: elements, or the bytes of blocks. */
static uint64_t unit_bytes(qn_dtype dtype)
{
    return qn_dtype_is_block(dtype) ? 1 : (uint64_t)qn_dtype_bytes(dtype);
}

void qn__exec_tensor(qn_exec *exec, const qn_operand *operand)
{
    if (!exec->kernel || !operand->there || !operand->buffer)
        add_buffer(exec, exec->device ? qn__device_nothing(exec->device) : NULL, 0);
    else add_buffer(exec, operand->buffer, operand->offset / unit_bytes(operand->desc.dtype));
}

void qn__exec_scratch(qn_exec *exec, const qn_call *call, uint64_t offset)
{
    qn__exec_scratch_as(exec, call, offset, QN_F32);
}

void qn__exec_scratch_as(qn_exec *exec, const qn_call *call, uint64_t offset, qn_dtype dtype)
{
    if (!exec->kernel || !call->scratch.buffer)
        add_buffer(exec, exec->device ? qn__device_nothing(exec->device) : NULL, 0);
    else
        add_buffer(exec, call->scratch.buffer, (call->scratch.offset + offset) / unit_bytes(dtype));
}

void qn__exec_i32(qn_exec *exec, int64_t value)
{
    int32_t narrow = (int32_t)value;
    if (narrow != value)
        stick(exec, qn__fail(QN_UNSUPPORTED, "a dimension of %lld does not fit 32 bits in a kernel",
                             (long long)value));
    add(exec, sizeof narrow, &narrow);
}

void qn__exec_u64(qn_exec *exec, uint64_t value)
{
    add(exec, sizeof value, &value);
}

void qn__exec_f32(qn_exec *exec, double value)
{
    float narrow = (float)value;
    add(exec, sizeof narrow, &narrow);
}

qn_status qn__exec_run(qn_exec *exec, int dims, const size_t *groups, const size_t *local)
{
    QN_TRY(exec->status);
    if (!exec->kernel) return QN_OK; /* recording */
    return qn__device_launch(exec->device, exec->kernel, dims, groups, local, exec->tag);
}

qn_status qn__exec_run1(qn_exec *exec, int64_t groups, int64_t local)
{
    size_t g = (size_t)groups, l = (size_t)local;
    return qn__exec_run(exec, 1, &g, &l);
}

qn_status qn__exec_run2(qn_exec *exec, int64_t groups0, int64_t groups1, int64_t local0)
{
    size_t groups[2] = {(size_t)groups0, (size_t)groups1}, local[2] = {(size_t)local0, 1};
    return qn__exec_run(exec, 2, groups, local);
}

/* Elements an item: few for tensors that two threads share, many for those that stream by. */
const qn_setting qn__each_settings[] = {
    {"4096", {EACH_BLOCK}},
    {"1024", {1024}, "-DQN_EACH_BLOCK=1024"},
    {"16384", {16384}, "-DQN_EACH_BLOCK=16384"},
    {0},
};

const char *qn__refuse_each(const qn_call *call, int setting)
{
    const qn_operand *first = call->backward ? &call->dout[0] : &call->out[0];
    int64_t n = first->there ? qn__elements(first) : 0, block = qn__each_settings[setting].knob[0];
    if (block > EACH_BLOCK && n < block * call->caps->compute_units)
        return "there is less than a block for each compute unit";
    if (block < EACH_BLOCK && n <= block) return "all elements are one item either way";
    return NULL;
}

qn_status qn__exec_elementwise(qn_exec *exec, const qn_call *call, int64_t n)
{
    qn__exec_u64(exec, (uint64_t)n);
    if (call->variant->family == QN_WIDE) {
        const qn_setting *settings = call->variant->settings;
        return qn__exec_run1(
            exec, qn__ceil_div(n, settings ? settings[call->setting].knob[0] : EACH_BLOCK), 1);
    }
    if (call->variant->family == QN_TILE)
        return qn__exec_run1(exec, qn__ceil_div(n, TILE_GROUP * qn__exec_width(call)), TILE_GROUP);
    return qn__exec_run1(exec, qn__ceil_div(n, GROUP), GROUP);
}

qn_status qn__exec_blocks(qn_exec *exec, const qn_call *call, int64_t blocks)
{
    qn__exec_i32(exec, blocks);
    if (call->variant->family == QN_WIDE)
        return qn__exec_run1(exec, qn__ceil_div(blocks, WIDE_BLOCKS), 1);
    return qn__exec_run1(exec, qn__ceil_div(blocks, GROUP), GROUP);
}

int64_t qn__exec_width(const qn_call *call)
{
    return call->variant->family == QN_WIDE ? 16 : call->variant->family == QN_TILE ? 4 : 1;
}

qn_status qn__exec_items(qn_exec *exec, const qn_call *call, int64_t n)
{
    qn__exec_i32(exec, n);
    if (call->variant->family == QN_WIDE) return qn__exec_run1(exec, n, 1);
    return qn__exec_run1(exec, qn__ceil_div(n, GROUP), GROUP);
}

qn_status qn__exec_rows(qn_exec *exec, const qn_call *call, int64_t rows)
{
    if (call->variant->family != QN_TILE) return qn__exec_items(exec, call, rows);
    qn__exec_i32(exec, rows);
    return qn__exec_run1(exec, qn__ceil_div(rows, GROUP_ROWS), GROUP);
}

uint64_t qn__column_parts_bytes(int64_t rows, int64_t cols)
{
    return (uint64_t)((rows + COLUMN_ROWS - 1) / COLUMN_ROWS) * (uint64_t)cols * 4;
}

qn_status qn__exec_column_parts(qn_exec *exec, const qn_call *call, const qn_operand *sum,
                                uint64_t scratch_offset, int64_t rows, int64_t cols)
{
    bool wide = call->variant->family == QN_WIDE;
    int64_t parts = (rows + COLUMN_ROWS - 1) / COLUMN_ROWS;
    int64_t local = wide ? 1 : GROUP;
    int64_t groups = qn__ceil_div(cols, local * qn__exec_width(call));
    qn__exec_i32(exec, cols);
    if (parts > 0)
        QN_TRY(qn__exec_run2(exec, wide ? (cols + STRIP - 1) / STRIP : groups, parts, local));
    else QN_TRY(exec->status);
    char options[16];
    snprintf(options, sizeof options, "-DQN_W=%d", (int)qn__exec_width(call));
    qn__exec_begin_file(exec, "columns.cl", "column_sum", options);
    qn__exec_tensor(exec, sum);
    qn__exec_scratch(exec, call, scratch_offset);
    qn__exec_i32(exec, parts);
    qn__exec_i32(exec, cols);
    return qn__exec_run1(exec, groups, local);
}

qn_status qn__exec_zero(qn_exec *exec, const qn_operand *operand)
{
    static const uint32_t zero;
    QN_TRY(exec->status);
    if (exec->record) return QN_OK;
    return qn__buffer_fill(operand->buffer, operand->offset, qn__desc_bytes(&operand->desc), &zero,
                           sizeof zero);
}

void qn__exec_free(qn_exec *exec)
{
    free(exec->bound);
    exec->bound = NULL;
    exec->bound_count = exec->bound_capacity = 0;
}

qn_status qn__call_run(qn_device *device, qn_call *call)
{
    qn_exec exec = {.device = device};
    QN_TRY(qn__call_choose(call, NULL));
    qn_status status = call->op->fwd(&exec, call);
    qn__exec_free(&exec);
    return status;
}
