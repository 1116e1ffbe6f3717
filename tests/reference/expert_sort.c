/* Pairs by expert: an expert's pairs in their order, expert after expert. */
#include "helpers.h"

void ref_expert_sort_fwd(const ref_call *call)
{
    const ref_tensor *ids = call->in[0];
    int64_t experts = (int64_t)call->attr[0], placed = 0, used = 0;
    double *groups = call->out[1]->d;
    for (int64_t e = 0; e < experts; e++) {
        int64_t first = placed;
        for (int64_t p = 0; p < ref_count(ids); p++)
            if (fmin(fmax(ids->d[p], 0), (double)experts - 1) == (double)e)
                call->out[0]->d[placed++] = (double)p;
        if (placed == first) continue;
        groups[2 * used] = (double)e;
        groups[2 * used++ + 1] = (double)first;
    }
    for (; used <= experts; used++) {
        groups[2 * used] = (double)experts;
        groups[2 * used + 1] = (double)placed;
    }
}
