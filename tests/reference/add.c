/* y = a + b; b has a's shape or a suffix of it, so b is read modulo its size.
 * da = dy, db = dy summed over the repeats. */
#include "helpers.h"

void ref_add_fwd(const ref_call *call)
{
    const ref_tensor *a = call->in[0], *b = call->in[1];
    for (int64_t i = 0; i < ref_count(a); i++)
        call->out[0]->d[i] = a->d[i] + b->d[i % ref_count(b)];
}

void ref_add_bwd(const ref_call *call)
{
    const ref_tensor *a = call->in[0], *b = call->in[1], *dy = call->dout[0];
    ref_tensor *da = call->din[0], *db = call->din[1];
    if (da) ref_zero(da);
    if (db) ref_zero(db);
    for (int64_t i = 0; dy && i < ref_count(a); i++) {
        if (da) da->d[i] = dy->d[i];
        if (db) db->d[i % ref_count(b)] += dy->d[i];
    }
}
