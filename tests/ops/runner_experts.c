/* Which pairs belong to which expert. */
#include "experts.h"

bool fill_pairs(test *t, int in, int order, int groups)
{
    host *h = &t->in[in];
    int64_t pairs = dim_of(t, order, 0) * dim_of(t, order, 1);
    if (in == order) {
        for (int64_t p = 0; p < pairs; p++) h->d[p] = (double)p;
        shuffle(t, in);
        return true;
    }
    if (in != groups) return false;
    int64_t experts = h->count / 2 - 1, used = 0, from = 0;
    for (int64_t e = 0; e < experts && from < pairs; e++) {
        int64_t rest = experts - e - 1, most = 2 * (pairs - from) / (rest + 1) + 1;
        int64_t count = rest == 0 ? pairs - from : random_pick(t, 0, most);
        if (count > pairs - from) count = pairs - from;
        if (count == 0) continue;
        h->d[2 * used] = (double)e;
        h->d[2 * used++ + 1] = (double)from;
        from += count;
    }
    for (; used <= experts; used++) {
        h->d[2 * used] = (double)experts;
        h->d[2 * used + 1] = (double)pairs;
    }
    return true;
}
