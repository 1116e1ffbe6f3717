#include "base/sum_tree.h"

#include <stddef.h>

int64_t qn__tree_split(int64_t leaves)
{
    return (int64_t)1 << (63 - __builtin_clzll((unsigned long long)leaves - 1));
}

int qn__tree_cover(int64_t all, int64_t from, int64_t to, qn_span *spans)
{
    qn_span open[QN_TREE_SPANS]; /* nodes still to look at, the leftmost on top */
    int left = 0, count = 0;
    open[left++] = (qn_span){0, all};
    while (left > 0) {
        qn_span node = open[--left];
        if (node.from >= to || node.to <= from || node.from == node.to) continue;
        if (node.from >= from && node.to <= to) {
            if (spans) spans[count] = node;
            count++;
            continue;
        }
        int64_t middle = node.from + qn__tree_split(node.to - node.from);
        open[left++] = (qn_span){middle, node.to};
        open[left++] = (qn_span){node.from, middle};
    }
    return count;
}

bool qn__tree_is_node(int64_t all, int64_t from, int64_t to)
{
    return from < to && qn__tree_cover(all, from, to, NULL) == 1;
}
