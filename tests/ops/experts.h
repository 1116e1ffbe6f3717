/* Random assignments of rows to experts, for tests of products with stacked matrices. */
#ifndef QN_TESTS_OPS_EXPERTS_H
#define QN_TESTS_OPS_EXPERTS_H

#include "runner.h"

/* Inputs `order` [R, J] and `groups` [E + 1, 2], whichever `in` is: all pairs in some order, in
 * groups of uneven sizes; some experts have none. False for other inputs. */
bool fill_pairs(test *t, int in, int order, int groups);

#endif
