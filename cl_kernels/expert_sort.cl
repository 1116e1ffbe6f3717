/* Pairs (row, choice) by expert, in one item: a counting sort. ids [pairs], order [pairs], groups
 * [experts + 1, 2]. Ids outside [0, experts) count as the nearest in it. */
#include "common.clh"

inline int qn_expert_of(__global const int *ids, const int pair, const int experts)
{
    return clamp(ids[pair], 0, experts - 1);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
expert_sort_fwd(QN_OUT(int, order), QN_OUT(int, groups), QN_IN(int, ids), const int pairs,
                const int experts)
{
    __global int *g = QN_AT(groups), *to = QN_AT(order);
    /* g[2 e + 3]: how many pairs of e; then g[2 e + 1]: the next place of e. */
    for (int e = 0; e <= experts; e++) g[2 * e + 1] = 0;
    for (int p = 0; p < pairs; p++) g[2 * qn_expert_of(QN_AT(ids), p, experts) + 3]++;
    for (int e = 1; e <= experts; e++) g[2 * e + 1] += g[2 * e - 1];
    for (int p = 0; p < pairs; p++) to[g[2 * qn_expert_of(QN_AT(ids), p, experts) + 1]++] = p;
    /* Each next place is now the end; experts without pairs are left out. */
    int used = 0, from = 0;
    for (int e = 0; e < experts; e++) {
        const int end = g[2 * e + 1];
        if (end > from) {
            g[2 * used] = e;
            g[2 * used + 1] = from;
            used++;
        }
        from = end;
    }
    for (; used <= experts; used++) {
        g[2 * used] = experts;
        g[2 * used + 1] = pairs;
    }
}
