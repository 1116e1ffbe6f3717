/* Learning rates of every schedule against values worked out by hand, at the first and last step
 * and where one part meets the next. */
#include "train/options.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* 110 steps, 10 of warm-up, from 1e-3 to 1e-4. */
static qn_train_options *options(const char *schedule, const char *fraction)
{
    qn_train_options *o;
    const char *keys[][2] = {{"steps", "110"},   {"warmup", "10"},   {"lr", "1e-3"},
                             {"min_lr", "1e-4"}, {"schedule", NULL}, {"decay_fraction", fraction}};
    keys[4][1] = schedule;
    assert_int_equal(qn_train_options_create(&o), QN_OK);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_int_equal(qn_train_options_set(o, keys[i][0], keys[i][1]), QN_OK);
    assert_int_equal(qn__schedule_check(o), QN_OK);
    return o;
}

typedef struct point {
    int64_t step;
    double lr;
} point;

static void check(const char *schedule, const char *fraction, const point *points, int count)
{
    qn_train_options *o = options(schedule, fraction);
    for (int i = 0; i < count; i++) {
        double got = qn__learning_rate(o, points[i].step);
        if (fabs(got - points[i].lr) > 1e-15)
            fail_msg("%s, step %lld: %.17g, not %.17g", schedule, (long long)points[i].step, got,
                     points[i].lr);
    }
    qn_train_options_destroy(&o);
}

#define CHECK(schedule, fraction, ...)                                                             \
    do {                                                                                           \
        const point points[] = {__VA_ARGS__};                                                      \
        check(schedule, fraction, points, (int)(sizeof points / sizeof points[0]));                \
    } while (0)

/* The first step is not wasted on a rate of 0, the last of the warm-up is not yet the highest. */
#define WARM_UP                                                                                    \
    {0, 1e-3 / 11}, {4, 5e-3 / 11}, {9, 1e-2 / 11},                                                \
    {                                                                                              \
        10, 1e-3                                                                                   \
    }

static void cosine(void **state)
{
    (void)state;
    CHECK("cosine", "0.2", WARM_UP, {35, 1e-4 + 9e-4 * (0.5 + 0.25 * sqrt(2))}, {60, 5.5e-4},
          {85, 1e-4 + 9e-4 * (0.5 - 0.25 * sqrt(2))}, {110, 1e-4}, {1000, 1e-4});
}

static void linear(void **state)
{
    (void)state;
    CHECK("linear", "0.2", WARM_UP, {60, 5.5e-4}, {109, 1e-4 + 9e-6}, {110, 1e-4});
}

static void constant(void **state)
{
    (void)state;
    CHECK("constant", "0.2", WARM_UP, {60, 1e-3}, {109, 1e-3}, {110, 1e-3});
}

static void wsd(void **state)
{
    (void)state;
    /* the last 22 steps fall: 88 is the highest rate once more, 109 the last step taken */
    CHECK("wsd", "0.2", WARM_UP, {11, 1e-3}, {87, 1e-3}, {88, 1e-3},
          {89, 1e-4 + 9e-4 * (1 - sqrt(1.0 / 22))}, {99, 1e-4 + 9e-4 * (1 - sqrt(0.5))},
          {109, 1e-4 + 9e-4 * (1 - sqrt(21.0 / 22))}, {110, 1e-4}, {111, 1e-4});
    /* a fall that would begin in the warm-up begins after it */
    CHECK("wsd", "1", WARM_UP, {35, 5.5e-4}, {109, 1e-4 + 9e-4 * (1 - sqrt(0.99))}, {110, 1e-4});
    CHECK("wsd", "0", WARM_UP, {109, 1e-3}, {110, 1e-4});
}

static void unknown(void **state)
{
    (void)state;
    qn_train_options *o;
    assert_int_equal(qn_train_options_create(&o), QN_OK);
    assert_int_equal(qn_train_options_set(o, "schedule", "square"), QN_OK);
    assert_int_equal(qn__schedule_check(o), QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "square"));
    assert_non_null(strstr(qn_last_error(), "wsd"));
    assert_int_equal(qn_train_options_set(o, "decay_fraction", "1.5"), QN_BAD_ARGUMENT);
    qn_train_options_destroy(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cosine), cmocka_unit_test(linear),
                                       cmocka_unit_test(constant), cmocka_unit_test(wsd),
                                       cmocka_unit_test(unknown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
