/* matmul of 16-bit elements on a GPU's matrix units: one kernel file over one header with a part
 * for each unit (matmul.matrix.cl, matrix_unit.clh). The unit is the first whose probe is proven;
 * variant matrix_scalar runs the same tiling by plain loops on any device, for tests. */
#include "ops/matmul.h"

#include <stdio.h>

/* QN_UNIT in the kernel; 0 is the scalar one. */
enum { SCALAR, PTX, DPAS8, DPAS16, MFMA, WMMA, UNITS };
static const struct {
    qn_probe_id probe;
    int lanes;
    int small, large; /* rows of the settings: for few groups, for many */
} units[UNITS] = {
    [SCALAR] = {QN_PROBE_LOCAL, 32, 0, 0},      [PTX] = {QN_PROBE_MATRIX_PTX, 32, 0, 1},
    [DPAS8] = {QN_PROBE_MATRIX_DPAS8, 8, 3, 3}, [DPAS16] = {QN_PROBE_MATRIX_DPAS16, 16, 4, 4},
    [MFMA] = {QN_PROBE_MATRIX_MFMA, 64, 0, 2},  [WMMA] = {QN_PROBE_MATRIX_WMMA, 32, 0, 1},
};

/* Elements of a group and of a unit; FOR: bits of the units for which it keeps registers. */
enum { ROWS, COLS, UNIT_ROWS, UNIT_COLS, FOR };
enum { DEPTH = 32 };
const qn_setting qn__product_units_settings[] = {
    {"64x64",
     {64, 64, 32, 32, 1 << SCALAR | 1 << PTX | 1 << MFMA | 1 << WMMA},
     "-DQN_TM=64 -DQN_TN=64 -DQN_WM=32 -DQN_WN=32 -DQN_DEPTH=32"},
    {"128x128",
     {128, 128, 64, 32, 1 << PTX | 1 << WMMA},
     "-DQN_TM=128 -DQN_TN=128 -DQN_WM=64 -DQN_WN=32 -DQN_DEPTH=32"},
    {"128x128u64",
     {128, 128, 64, 64, 1 << MFMA},
     "-DQN_TM=128 -DQN_TN=128 -DQN_WM=64 -DQN_WN=64 -DQN_DEPTH=32"},
    {"64x64u16",
     {64, 64, 16, 16, 1 << SCALAR | 1 << DPAS8},
     "-DQN_TM=64 -DQN_TN=64 -DQN_WM=16 -DQN_WN=16 -DQN_DEPTH=32"},
    {"64x64u16x32",
     {64, 64, 16, 32, 1 << DPAS16},
     "-DQN_TM=64 -DQN_TN=64 -DQN_WM=16 -DQN_WN=32 -DQN_DEPTH=32"},
    {0},
};

static int unit_of(const qn_call *call)
{
    if (call->variant && call->variant->order == QN_CHAIN) return SCALAR;
    for (int unit = PTX; unit < UNITS; unit++)
        if (qn__proven(call->caps, units[unit].probe)) return unit;
    return SCALAR;
}

static int items_of(int unit, const int32_t *knob)
{
    return knob[ROWS] / knob[UNIT_ROWS] * (knob[COLS] / knob[UNIT_COLS]) * units[unit].lanes;
}

/* Two slices of each operand, whichever way it lies. */
static uint64_t local_bytes(const int32_t *knob)
{
    uint64_t bytes = 0;
    for (int side = ROWS; side <= COLS; side++) bytes += 2 * 2 * (uint64_t)knob[side] * (DEPTH + 8);
    return bytes;
}

static const char *refuse(const qn_call *call)
{
    qn_dtype type = call->in[A].desc.dtype;
    const char *why = qn__refuse_tile(call);
    if (type != QN_BF16 && type != QN_F16) return "it multiplies bf16 and f16 only";
    if (why) return why;
    return local_bytes(qn__product_units_settings[0].knob) > call->caps->local_bytes
               ? "the device has too little local memory"
               : NULL;
}

const char *qn__product_refuse_scalar(const qn_call *call)
{
    return refuse(call);
}

const char *qn__product_refuse_units(const qn_call *call)
{
    const char *why = refuse(call);
    if (why) return why;
    for (int unit = PTX; unit < UNITS; unit++)
        if (qn__proven(call->caps, units[unit].probe)) return NULL;
    return "no probe of a matrix unit is proven on this device";
}

const char *qn__product_refuse_units_setting(const qn_call *call, int setting)
{
    product p = qn__product(call);
    const int32_t *knob = qn__product_units_settings[setting].knob;
    int unit = unit_of(call);
    if (!(knob[FOR] >> unit & 1)) return "it does not suit this matrix unit";
    if (knob[ROWS] > 64 && p.m <= 64) return "there are fewer rows than a tile has";
    if (knob[COLS] > 64 && p.n <= 64) return "there are fewer columns than a tile has";
    if (local_bytes(knob) > call->caps->local_bytes)
        return "the device has too little local memory";
    if ((uint64_t)items_of(unit, knob) > call->caps->max_group) return "its groups are too large";
    return NULL;
}

int qn__product_units_preset(const qn_call *call)
{
    product p = qn__product(call);
    int unit = unit_of(call), large = units[unit].large;
    int64_t groups = qn__ceil_div(p.m, 128) * qn__ceil_div(p.n, 128) * p.batch;
    bool fills = groups >= 2 * (int64_t)call->caps->compute_units;
    return fills && !qn__product_refuse_units_setting(call, large) ? large : units[unit].small;
}

static qn_status launch(qn_exec *exec, const qn_call *call, const product *p)
{
    int unit = unit_of(call);
    const int32_t *knob = qn__product_units_settings[call->setting].knob;
    char options[128];
    qn__product_epilogue(call, options, sizeof options);
    qn__exec_begin(exec, call, "matmul_matrix", "-DQN_UNIT=%d -DQN_A_TURNED=%d -DQN_B_TURNED=%d %s",
                   unit, p->a_col != 1, p->b_col != 1, options);
    qn__product_tensors(exec, call, &call->in[A], &call->in[B]);
    qn__exec_i32(exec, p->m);
    qn__exec_i32(exec, p->n);
    qn__exec_i32(exec, p->k);
    const uint64_t strides[] = {p->a_row,   p->a_col,   p->b_row,  p->b_col,
                                p->a_batch, p->b_batch, p->y_batch};
    for (int i = 0; i < 7; i++) qn__exec_u64(exec, strides[i]);
    size_t groups[3] = {(size_t)qn__ceil_div(p->n, knob[COLS]),
                        (size_t)qn__ceil_div(p->m, knob[ROWS]), (size_t)p->batch};
    size_t local[3] = {(size_t)items_of(unit, knob), 1, 1};
    return qn__exec_run(exec, 3, groups, local);
}

qn_status qn__product_fwd_units(qn_exec *exec, const qn_call *call)
{
    return qn__product_in_parts(exec, call, launch);
}
