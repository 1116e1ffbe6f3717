#include "ops/broadcast.h"

enum { A, B };

qn_status qn__broadcast_shape(qn_call *call)
{
    const qn_shape *a = &call->in[A].desc.shape, *b = &call->in[B].desc.shape;
    char a_text[96], b_text[96];
    QN_TRY(qn__check_elements(call, 3));
    bool suffix = b->rank <= a->rank;
    for (int i = 1; suffix && i <= b->rank; i++)
        suffix = b->dim[b->rank - i] == a->dim[a->rank - i];
    bool number = b->rank <= 1 && qn_shape_elements(b) == 1;
    QN_CHECK(suffix || number, "%s: b is %s; it must be a suffix of a, which is %s",
             qn__op_row(qn__op_id(call->op))->stem,
             qn__desc_text(&call->in[B].desc, b_text, sizeof b_text),
             qn__desc_text(&call->in[A].desc, a_text, sizeof a_text));
    qn__out_like(call, 0, A);
    return QN_OK;
}

qn_status qn__broadcast_fwd(qn_exec *exec, const qn_call *call, const char *kernel)
{
    int64_t length = qn__elements(&call->in[B]);
    qn__exec_begin(exec, call, kernel, "-DQN_SCALAR=%d", length == 1);
    qn__exec_tensor(exec, &call->out[0]);
    qn__exec_tensor(exec, &call->in[A]);
    qn__exec_tensor(exec, &call->in[B]);
    qn__exec_u64(exec, (uint64_t)length);
    return qn__exec_elementwise(exec, call, qn__elements(&call->in[A]));
}

qn_status qn__broadcast_fold(qn_grad_builder *builder, int full, int *sum)
{
    const qn_shape *a = &builder->call->in[A].desc.shape, *b = &builder->call->in[B].desc.shape;
    *sum = full;
    if (qn_shape_equal(a, b)) return QN_OK;
    bool suffix = b->rank <= a->rank; /* else b is [1] and a a scalar */
    for (int i = 1; suffix && i <= b->rank; i++)
        suffix = b->dim[b->rank - i] == a->dim[a->rank - i];
    int64_t repeats = suffix ? qn__shape_span(a, 0, a->rank - b->rank) : qn_shape_elements(a);
    qn_shape lines = {.rank = 2, .dim = {repeats, qn_shape_elements(b)}};
    QN_TRY(builder->reshape(builder, full, &lines, sum));
    QN_TRY(builder->emit(builder, "reduce axis=0 kind=sum", sum, 1, sum));
    return builder->reshape(builder, *sum, b, sum);
}
