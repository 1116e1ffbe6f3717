#include "base/checked.h"
#include "ops/exec.h"

enum { DST, FROM, TO, TABLE };
enum { HALVES };

static qn_status shape(qn_call *call)
{
    QN_TRY(qn__check_cached(call, DST));
    QN_TRY(qn__check_rank(call, DST, 3, 3));
    const int64_t *dst = call->in[DST].desc.shape.dim;
    QN_CHECK(dst[2] >= 1 && dst[2] <= 512, "turn_rows: heads of %lld elements; 1 to 512 can be had",
             (long long)dst[2]);
    QN_TRY(qn__check_rank(call, FROM, 1, 1));
    QN_TRY(qn__check_rank(call, TO, 1, 1));
    QN_TRY(qn__check_dim(call, TO, 0, call->in[FROM].desc.shape.dim[0]));
    if (call->in[TABLE].there) {
        QN_CHECK(dst[2] % 2 == 0, "turn_rows: heads of %lld elements; pairs need an even number",
                 (long long)dst[2]);
        QN_TRY(qn__check_dtype(call, TABLE, QN_F32));
        QN_TRY(qn__check_rank(call, TABLE, 2, 2));
        QN_TRY(qn__check_dim(call, TABLE, 0, dst[2] / 2));
        QN_TRY(qn__check_dim(call, TABLE, 1, 2));
    }
    qn__out_like(call, 0, DST);
    return QN_OK;
}

/* Of dst only the rows that move. */
static void cost(const qn_call *call, qn_cost *cost)
{
    qn_desc moved = call->in[DST].desc;
    moved.shape.dim[0] = call->in[FROM].desc.shape.dim[0];
    cost->flops = call->in[TABLE].there ? 3.0 * (double)qn_shape_elements(&moved.shape) : 0;
    cost->bytes = 2.0 * (double)qn__desc_bytes(&moved) + 8.0 * (double)moved.shape.dim[0];
}

static qn_status fwd(qn_exec *exec, const qn_call *call)
{
    const int64_t *dst = call->in[DST].desc.shape.dim;
    int64_t n = call->in[FROM].desc.shape.dim[0] * dst[1];
    qn__exec_begin(exec, call, "turn_rows_fwd", "-DQN_D=%d -DQN_KV=%d -DQN_TURN=%d", (int)dst[2],
                   (int)call->in[DST].desc.dtype, call->in[TABLE].there);
    qn__exec_tensor(exec, &call->out[0]);
    for (int i = FROM; i <= TABLE; i++) qn__exec_tensor(exec, &call->in[i]);
    qn__exec_i32(exec, call->attr[HALVES].i);
    qn__exec_i32(exec, dst[1]);
    qn__exec_i32(exec, dst[0]);
    qn__exec_i32(exec, n);
    return qn__exec_run1(exec, qn__ceil_div(n, 64), 64);
}

const qn_op qn__op_turn_rows = {
    .shape = shape,
    .cost = cost,
    .fwd = fwd,
    .variants = (const qn_variant[]){{"plain", QN_PLAIN, QN_EXACT, qn__refuse_never, NULL}, {0}},
};
