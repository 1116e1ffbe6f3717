#include "ops/exec.h"

enum { P, G, M, V, HYPER, G2, COPY, RNG };
enum { OUT_P, OUT_M, OUT_V, OUT_COPY };
enum { DECAY, STREAM, FIRST };

static qn_status check_types(const qn_call *call)
{
    qn_dtype p = call->in[P].desc.dtype, m = call->in[M].desc.dtype;
    QN_CHECK((p == QN_F32 || p == QN_BF16) && (m == QN_F32 || m == QN_BF16),
             "adamw: p is %s and m is %s; they must be f32 or bf16", qn_dtype_name(p),
             qn_dtype_name(m));
    QN_TRY(qn__check_dtype(call, V, m));
    QN_CHECK(call->in[RNG].there || (p == QN_F32 && m == QN_F32),
             "adamw: p, m and v in bf16 are rounded stochastically: rng is missing");
    if (!call->in[COPY].there) return QN_OK;
    qn_dtype copy = call->in[COPY].desc.dtype;
    QN_CHECK(copy == QN_F16 || copy == QN_BF16, "adamw: copy is %s; it must be f16 or bf16",
             qn_dtype_name(copy));
    return QN_OK;
}

static qn_status check_shapes(const qn_call *call)
{
    const qn_shape *p = &call->in[P].desc.shape;
    static const int alike[] = {G, M, V, G2, COPY};
    for (size_t k = 0; k < sizeof alike / sizeof alike[0]; k++) {
        const qn_operand *in = &call->in[alike[k]];
        QN_CHECK(!in->there || (qn_shape_equal(&in->desc.shape, p) && in->desc.layout == QN_ROWS),
                 "adamw: an input is not of p's shape");
    }
    for (int i = HYPER; i <= RNG; i += RNG - HYPER) {
        if (!call->in[i].there) continue;
        QN_TRY(qn__check_rank(call, i, 1, 1));
        QN_TRY(qn__check_dim(call, i, 0, i == HYPER ? 8 : 4));
    }
    return QN_OK;
}

static qn_status shape(qn_call *call)
{
    QN_TRY(check_types(call));
    QN_TRY(qn__check_dtype(call, G, QN_F32));
    QN_TRY(qn__check_dtype(call, HYPER, QN_F32));
    if (call->in[G2].there) QN_TRY(qn__check_dtype(call, G2, QN_F32));
    QN_TRY(check_shapes(call));
    QN_CHECK(call->attr[FIRST].i >= 0, "adamw: first=%lld is negative",
             (long long)call->attr[FIRST].i);
    qn__out_like(call, OUT_P, P);
    qn__out_like(call, OUT_M, M);
    qn__out_like(call, OUT_V, V);
    if (call->in[COPY].there) qn__out_like(call, OUT_COPY, COPY);
    return QN_OK;
}

static void cost(const qn_call *call, qn_cost *cost)
{
    qn__cost_elementwise(call, call->in[G2].there ? 17 : 16, cost);
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    qn__exec_begin(exec, call, "adamw_fwd", "-DQN_G2=%d -DQN_M=%d -DQN_COPY=%d", call->in[G2].there,
                   (int)call->in[M].desc.dtype,
                   call->in[COPY].there ? (int)call->in[COPY].desc.dtype : 0);
    qn__exec_tensor(exec, &call->out[OUT_P]);
    qn__exec_tensor(exec, &call->out[OUT_M]);
    qn__exec_tensor(exec, &call->out[OUT_V]);
    qn__exec_tensor(exec, &call->out[OUT_COPY]);
    qn__exec_tensor(exec, &call->in[G]);
    qn__exec_tensor(exec, &call->in[G2]);
    qn__exec_tensor(exec, &call->in[HYPER]);
    qn__exec_tensor(exec, &call->in[RNG]);
    qn__exec_f32(exec, call->attr[DECAY].f);
    qn__exec_i32(exec, (int32_t)(uint32_t)call->attr[STREAM].i);
    qn__exec_u64(exec, (uint64_t)call->attr[FIRST].i);
    return qn__exec_elementwise(exec, call, qn__elements(&call->in[P]));
}

const qn_op qn__op_adamw = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .variants = QN_VARIANTS_EACH(QN_EXACT),
};
