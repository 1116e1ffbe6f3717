/* The balanced binary tree in which leaves are added, wherever they are: a node of n leaves splits
 * after the largest power of two below n, so that left parts are always full. Neighbours of equal
 * size that merge as they complete, and a fold of the rest from the right, are this tree. */
#ifndef QN_BASE_SUM_TREE_H
#define QN_BASE_SUM_TREE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct qn_span {
    int64_t from, to; /* leaves [from, to) */
} qn_span;

enum { QN_TREE_SPANS = 128 }; /* a run of 2^63 leaves is covered by fewer nodes */

/* Where a node of `leaves` >= 2 leaves splits: how many its left part has. */
int64_t qn__tree_split(int64_t leaves);
/* The largest nodes of the tree over leaves [0, all) that make up [from, to), ascending; returns
 * how many. 0 <= from <= to <= all. spans NULL: only count. */
int qn__tree_cover(int64_t all, int64_t from, int64_t to, qn_span *spans);
/* Is [from, to) one node? */
bool qn__tree_is_node(int64_t all, int64_t from, int64_t to);

#endif
