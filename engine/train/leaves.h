/* How the gradients of a step's leaves (micro-batches) are added.
 *
 * The tree: leaves are a balanced binary tree; neighbours of equal size merge as they complete, and
 * after the last leaf what is left is folded from the right. Sums that are not merged yet lie in
 * copies of the gradient, the oldest in copy 0: before leaf l as many as l has bits set. Of a rank
 * that has only some of the leaves: the largest nodes of the tree that they make up. A leaf
 * with m merges to do adds its gradient to the newest copy, the result to the one before, m times;
 * the products of its backward pass do the first of them as they finish (matmul's onto), so that
 * the leaf's own gradient is never in memory. Vectors, which are small, lie in copies of their own
 * and are merged afterwards.
 *
 * The chain: one copy; each leaf's sums go on where the last leaf's ended. */
#ifndef QN_TRAIN_LEAVES_H
#define QN_TRAIN_LEAVES_H

#include "train/training.h"

/* Groups of the store: gradients of matrices, and of vectors. */
#define QN_GRAD "grad"
#define QN_GRAD_VECTORS "grad.vectors"

/* Copies of both; after the gradients are declared. */
qn_status qn__leaves_declare(qn_training *training) QN_MUST_USE;
/* How many leaves of a step run the plan that adds to `joined` older sums (0: the step's first). */
int64_t qn__leaves_joined(const qn_training *training, int joined);
/* Forward and backward of all leaves, whose inputs are written; the gradient, of all ranks, is then
 * in copy 0. Collective. */
qn_status qn__leaves_run(qn_training *training) QN_MUST_USE;
/* For measuring: the same leaf by leaf, each gradient over the last one's. */
qn_status qn__leaves_alone(qn_training *training) QN_MUST_USE;

#endif
