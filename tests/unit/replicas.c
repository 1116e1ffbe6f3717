/* Which rank has other weights: hashes [rank][weight]. */
#include "train/replicas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int odd(const uint64_t *hashes, int ranks, int *tensor)
{
    *tensor = -1;
    return qn__replicas_odd(hashes, ranks, 3, tensor);
}

static void votes(void **state)
{
    (void)state;
    int tensor;
    const uint64_t same[] = {7, 8, 9, 7, 8, 9, 7, 8, 9};
    assert_int_equal(odd(same, 3, &tensor), -1);
    assert_int_equal(odd(same, 1, &tensor), -1);
    const uint64_t last[] = {7, 8, 9, 7, 8, 9, 7, 8, 1};
    assert_int_equal(odd(last, 3, &tensor), 2);
    assert_int_equal(tensor, 2);
    const uint64_t first[] = {7, 5, 1, 7, 8, 9, 7, 8, 9};
    assert_int_equal(odd(first, 3, &tensor), 0);
    assert_int_equal(tensor, 1);
    const uint64_t two[] = {7, 8, 9, 7, 8, 1}; /* as many on either side: the first is believed */
    assert_int_equal(odd(two, 2, &tensor), 1);
    assert_int_equal(tensor, 2);
    const uint64_t pairs[] = {1, 8, 9, 7, 8, 9, 1, 8, 9, 7, 8, 9};
    assert_int_equal(odd(pairs, 4, &tensor), 1);
    assert_int_equal(tensor, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(votes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
