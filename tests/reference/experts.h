/* What references of products with stacked matrices share. */
#ifndef QN_TESTS_REFERENCE_EXPERTS_H
#define QN_TESTS_REFERENCE_EXPERTS_H

#include "reference.h"

/* The matrix of the pair at a place in order: groups as expert_sort lists them. */
static inline int64_t ref_expert_at(const ref_tensor *groups, int64_t place)
{
    int64_t g = 0;
    while ((int64_t)groups->d[2 * g + 3] <= place) g++;
    return (int64_t)groups->d[2 * g];
}

/* The row of x that pair p reads; x has a row for each pair, or one for all pairs of a row. */
static inline int64_t ref_row_of_pair(const ref_tensor *x, const ref_tensor *order, int64_t p)
{
    return x->rank == 3 ? p : p / order->dim[1];
}

#endif
