/* y[r] = table[ids[r]]: table [V, C], ids [R], y [R, C]; dtable[ids[r]] += dy[r]. */
#include "helpers.h"

void ref_embedding_fwd(const ref_call *call)
{
    const ref_tensor *table = call->in[0], *ids = call->in[1];
    int64_t cols = ref_cols(table);
    for (int64_t r = 0; r < ref_count(ids); r++)
        for (int64_t c = 0; c < cols; c++)
            call->out[0]->d[r * cols + c] = table->d[(int64_t)ids->d[r] * cols + c];
}

void ref_embedding_bwd(const ref_call *call)
{
    const ref_tensor *ids = call->in[1], *dy = call->dout[0];
    ref_tensor *dtable = call->din[0];
    if (!dtable) return;
    ref_zero(dtable);
    if (!dy) return;
    int64_t cols = ref_cols(dtable);
    for (int64_t r = 0; r < ref_count(ids); r++)
        for (int64_t c = 0; c < cols; c++)
            dtable->d[(int64_t)ids->d[r] * cols + c] += dy->d[r * cols + c];
}
