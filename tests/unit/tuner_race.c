/* The tuner's protocol on invented times: what may replace a default, and what may not. */
#include "device/race.h"

#include "base/check.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { LIMIT = 8 };

/* A stage: times that each candidate takes, and what goes wrong. */
typedef struct stage {
    double takes[LIMIT];  /* seconds */
    double noise;         /* each time is takes (1 + noise u), u in [0, 1) */
    double first_extra;   /* added to a candidate's first run */
    int fails_at[LIMIT];  /* its n-th run fails, from 1; 0: never */
    double nan_at[LIMIT]; /* its n-th run says NaN */
    int over_after;       /* runs; 0: never */
    double (*script)(const struct stage *stage, int candidate, int run);
    int count[LIMIT], all;
    int order[1000]; /* who ran */
    qn_rng rng;
} stage;

static qn_status play(void *user, int candidate, double *seconds)
{
    stage *s = user;
    int run = ++s->count[candidate];
    if (s->all < 1000) s->order[s->all] = candidate;
    s->all++;
    if (s->fails_at[candidate] && run >= s->fails_at[candidate])
        return qn__fail(QN_INTERNAL, "candidate %d breaks", candidate);
    *seconds = s->takes[candidate] * (1 + s->noise * (double)qn__rng_uniform(&s->rng));
    if (run == 1) *seconds += s->first_extra;
    if (s->script) *seconds = s->script(s, candidate, run);
    if (s->nan_at[candidate] == run) *seconds = 0.0 / 0.0 * *seconds;
    return QN_OK;
}

static bool over(void *user)
{
    const stage *s = user;
    return s->over_after && s->all >= s->over_after;
}

static qn_race_result run(stage *s, int candidates)
{
    qn_race race = {.candidates = candidates, .runs = 5, .run = play, .over = over, .user = s};
    qn_race_result result;
    s->rng = (qn_rng){.seed = 5};
    if (qn__race(&race, &result) != QN_OK) fail_msg("%s", qn_last_error());
    assert_int_equal(result.runs, s->all);
    return result;
}

static void one_candidate(void **state)
{
    (void)state;
    stage s = {.takes = {1}};
    qn_race_result r = run(&s, 1);
    assert_true(r.finished && r.winner == 0 && r.seconds[0] == 1);
}

static void a_faster_one_wins(void **state)
{
    (void)state;
    stage s = {.takes = {1, 1.5, 0.8, 0.9}};
    qn_race_result r = run(&s, 4);
    assert_true(r.finished);
    assert_int_equal(r.winner, 2);
    assert_true(r.seconds[0] == 1 && r.seconds[1] == 0.8);
}

/* The rule is 3 %: below it, a tie, and a slower one keep the default. */
static void the_margin(void **state)
{
    (void)state;
    const struct {
        double takes;
        int winner;
    } table[] = {{0.5, 1}, {0.9699, 1}, {0.971, 0}, {0.9999, 0}, {1, 0}, {1.0001, 0}, {3, 0}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        stage s = {.takes = {1, table[i].takes}};
        qn_race_result r = run(&s, 2);
        assert_true(r.finished);
        assert_int_equal(r.winner, table[i].winner);
        if (!r.winner) assert_true(r.seconds[1] == r.seconds[0]);
    }
}

/* A default that takes no time cannot be beaten. */
static void zero_seconds(void **state)
{
    (void)state;
    stage s = {.takes = {0, 0, 0}};
    assert_int_equal(run(&s, 3).winner, 0);
}

/* The default runs in every round, and turn by turn with the challenger. */
static void rounds_alternate(void **state)
{
    (void)state;
    stage s = {.takes = {1, 0.5}};
    run(&s, 2);
    assert_int_equal(s.all, 2 * (1 + QN_RACE_SCREEN) + QN_RACE_ROUNDS * 2 * 5);
    for (int i = 0; i < s.all; i++) assert_int_equal(s.order[i], i % 2);
}

/* Building a program makes the first run slow: it does not count, for anyone. */
static void slow_first_run(void **state)
{
    (void)state;
    stage s = {.takes = {1, 0.9, 1.2}, .first_extra = 1000};
    qn_race_result r = run(&s, 3);
    assert_int_equal(r.winner, 1);
    assert_true(r.seconds[0] == 1 && r.seconds[1] == 0.9);
}

static double first_counted_is_slow(const stage *s, int candidate, int n)
{
    return s->takes[candidate] + (n == 2 ? 50 : 0);
}

static void slow_second_run(void **state)
{
    (void)state;
    stage s = {.takes = {1, 0.9}, .script = first_counted_is_slow};
    assert_int_equal(run(&s, 2).winner, 1);
}

/* Fast while looked at and in the first round, not in the second: luck. */
static double lucky(const stage *s, int candidate, int n)
{
    (void)s;
    if (candidate == 0) return 1;
    return n <= 1 + QN_RACE_SCREEN + 5 ? 0.5 : 1.1;
}

static void luck_is_not_enough(void **state)
{
    (void)state;
    stage s = {.takes = {1, 1}, .script = lucky};
    qn_race_result r = run(&s, 2);
    assert_true(r.finished && r.winner == 0);
}

/* The best of the screening was lucky; the next one is really faster. */
static double one_lucky_one_good(const stage *s, int candidate, int n)
{
    if (candidate == 2) return 0.9;
    return lucky(s, candidate, n);
}

static void the_next_challenger_has_its_turn(void **state)
{
    (void)state;
    stage s = {.script = one_lucky_one_good};
    assert_int_equal(run(&s, 3).winner, 2);
}

/* Twenty candidates' worth of noise around the same time never replaces the default; one that is
 * 20 % faster in the same noise does. */
static void noise(void **state)
{
    (void)state;
    int replaced = 0, found = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        qn_race_result r;
        stage s = {.takes = {1, 1, 1, 1, 1, 1, 1}, .noise = 0.05, .rng = {.seed = seed}};
        qn_race race = {.candidates = 7, .runs = 15, .run = play, .user = &s};
        assert_int_equal(qn__race(&race, &r), QN_OK);
        replaced += r.winner != 0;
        stage t = {.takes = {1, 1, 1, 0.8, 1, 1, 1}, .noise = 0.05, .rng = {.seed = seed}};
        race.user = &t;
        assert_int_equal(qn__race(&race, &r), QN_OK);
        found += r.winner == 3;
    }
    assert_int_equal(replaced, 0);
    assert_int_equal(found, 300);
}

static void a_failing_candidate_is_out(void **state)
{
    (void)state;
    for (int at = 1; at < 12; at++) { /* while warming up, looking, and in a round */
        stage s = {.takes = {1, 0.5, 0.8}, .fails_at = {0, at}};
        qn_race_result r = run(&s, 3);
        assert_true(r.finished && r.failed == 1);
        assert_int_equal(r.winner, 2);
        assert_int_equal(s.count[1], at);
    }
    stage all = {.takes = {1, 0.5, 0.8}, .fails_at = {0, 1, 1}};
    qn_race_result r = run(&all, 3);
    assert_true(r.finished && r.winner == 0 && r.failed == 2);
}

static void times_that_are_none(void **state)
{
    (void)state;
    stage s = {.takes = {1, 0.5}, .nan_at = {0, 3}};
    qn_race_result r = run(&s, 2);
    assert_true(r.finished && r.winner == 0 && r.failed == 1);
    stage negative = {.takes = {1, -0.5}};
    r = run(&negative, 2);
    assert_true(r.finished && r.winner == 0 && r.failed == 1);
}

static void a_failing_default_fails_the_race(void **state)
{
    (void)state;
    for (int at = 1; at < 9; at++) {
        stage s = {.takes = {1, 0.5}, .fails_at = {at}};
        qn_race race = {.candidates = 2, .runs = 5, .run = play, .user = &s};
        qn_race_result r;
        assert_int_equal(qn__race(&race, &r), QN_INTERNAL);
        assert_non_null(strstr(qn_last_error(), "breaks"));
        assert_true(!r.finished && r.winner == 0);
    }
}

/* Whenever it is over before a verdict, the default stays, and not one more run is made. */
static void budget_exhausted(void **state)
{
    (void)state;
    int whole = 2 * (1 + QN_RACE_SCREEN) + QN_RACE_ROUNDS * 2 * 5;
    for (int runs = 1; runs < whole; runs++) {
        stage s = {.takes = {1, 0.5}, .over_after = runs};
        qn_race_result r = run(&s, 2);
        assert_true(!r.finished && r.winner == 0);
        assert_int_equal(s.all, runs);
    }
    stage s = {.takes = {1, 0.5}, .over_after = whole};
    qn_race_result r = run(&s, 2);
    assert_true(r.finished && r.winner == 1);
}

static void mistakes(void **state)
{
    (void)state;
    const int wrong[][2] = {{0, 5}, {-1, 5}, {QN_RACE_CANDIDATES + 1, 5}, {2, 0}, {2, 1000}};
    for (size_t i = 0; i < 5; i++) {
        stage s = {.takes = {1, 0.5}};
        qn_race race = {.candidates = wrong[i][0], .runs = wrong[i][1], .run = play, .user = &s};
        qn_race_result r;
        assert_int_equal(qn__race(&race, &r), QN_BAD_ARGUMENT);
        assert_int_equal(s.all, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_candidate),
        cmocka_unit_test(a_faster_one_wins),
        cmocka_unit_test(the_margin),
        cmocka_unit_test(zero_seconds),
        cmocka_unit_test(rounds_alternate),
        cmocka_unit_test(slow_first_run),
        cmocka_unit_test(slow_second_run),
        cmocka_unit_test(luck_is_not_enough),
        cmocka_unit_test(the_next_challenger_has_its_turn),
        cmocka_unit_test(noise),
        cmocka_unit_test(a_failing_candidate_is_out),
        cmocka_unit_test(times_that_are_none),
        cmocka_unit_test(a_failing_default_fails_the_race),
        cmocka_unit_test(budget_exhausted),
        cmocka_unit_test(mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
