/* Tuning a plan with invented times, for a device that is not there: which calls, in which order,
 * within which budget, and what the plan makes of the entries. */
#include "graph/tune.h"

#include "base/check.h"
#include "device/race.h"
#include "ops/case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 24, IN = 2048, OUT = 96 };

static qn_caps cpu = {.name = "a CPU",
                      .type = QN_CPU,
                      .compute_units = 8,
                      .max_group = 4096,
                      .local_bytes = 1 << 19,
                      .fma = true,
                      .max_alloc_bytes = 1ull << 33,
                      .global_bytes = 1ull << 34,
                      .base_align_bytes = 128,
                      .peak_gflops = 500,
                      .peak_gbytes = 50,
                      .probe = {[QN_PROBE_BASIC] = QN_PROVEN, [QN_PROBE_VECTOR16] = QN_PROVEN}};

static void must(qn_status status)
{
    if (status != QN_OK) fail_msg("%s: %s", qn_status_name(status), qn_last_error());
}

typedef struct net {
    qn_store *store;
    qn_graph *graph;
    qn_plan *plan;
} net;

/* y = relu(x w) + x w: twice the same product, an activation, a sum; rows: at run time. */
static void build(net *n, bool rows, const qn_plan_options *options)
{
    qn_shape x = {.rank = 2, .dim = {ROWS, IN}}, w = {.rank = 2, .dim = {IN, OUT}};
    qn_shape y = {.rank = 2, .dim = {ROWS, OUT}};
    *n = (net){0};
    must(qn__store_create(NULL, &cpu, &n->store));
    must(qn_store_add(n->store, "", "x", QN_F32, &x));
    must(qn_store_add(n->store, "", "w", QN_F32, &w));
    must(qn_store_add(n->store, "", "v", QN_F32, &w));
    must(qn_store_add(n->store, "", "y", QN_F32, &y));
    must(qn_graph_create(n->store, &n->graph));
    qn_tensor *in = rows ? qn_graph_rows(n->graph, "x") : qn_graph_input(n->graph, "x");
    qn_tensor *a = qn_apply(n->graph, "matmul", in, qn_graph_weight(n->graph, "w"));
    qn_tensor *b = qn_apply(n->graph, "matmul", in, qn_graph_weight(n->graph, "v"));
    qn_tensor *sum = qn_apply(n->graph, "add", qn_apply(n->graph, "softmax", a), b);
    must(qn_graph_status(n->graph));
    must(qn_graph_assign(n->graph, sum, "y"));
    must(qn_plan_create(n->graph, options, &n->plan));
}

static void take_down(net *n)
{
    qn_plan_destroy(&n->plan);
    qn_graph_destroy(&n->graph);
    qn_store_destroy(&n->store);
}

/* ---- an invented device ---- */

typedef struct stage {
    const char *fast;  /* the choice that takes half as long; NULL: none */
    const char *fails; /* the choice that fails */
    double seconds;    /* of the default */
    double clock;      /* moves by what is timed */
    int timings;
    int64_t min_rows; /* the fast choice is fast from here on */
    char first[512];  /* line timed first */
    int stop_after;   /* calls of progress; 0: never */
    int told;
    qn_tune_info said; /* the first that was said */
} stage;

static qn_status play(void *user, const qn_call *call, const qn_choice *choice, double *seconds)
{
    stage *s = user;
    char text[64];
    qn__choice_text(choice, text, sizeof text);
    if (s->timings++ == 0) qn__call_text(call, s->first, sizeof s->first);
    if (s->fails && strcmp(text, s->fails) == 0) return qn__fail(QN_INTERNAL, "it breaks");
    bool fast =
        s->fast && strcmp(text, s->fast) == 0 && call->in[0].desc.shape.dim[0] >= s->min_rows;
    *seconds = fast ? s->seconds / 2 : s->seconds;
    s->clock += *seconds;
    return QN_OK;
}

static double clock_now(void *user)
{
    return ((const stage *)user)->clock;
}

static bool hear(void *user, const qn_tune_info *info)
{
    stage *s = user;
    if (s->told++ == 0) s->said = *info;
    return s->stop_after == 0 || s->told < s->stop_after;
}

static qn_tuner tuner_of(stage *s, qn_tuning *tuning)
{
    return (qn_tuner){
        .caps = &cpu,
        .tuning = tuning,
        .timing = play,
        .now = clock_now,
        .user = s,
        .options = {
            .size = sizeof(qn_tune_options), .budget_seconds = 1000, .progress = hear, .user = s}};
}

static json_t *tune(stage *s, qn_tuner *tuner, const net *n)
{
    json_t *report = NULL;
    if (s->seconds <= 0) s->seconds = 0.001;
    must(qn__plans_tune(tuner, &n->plan, 1, &report));
    assert_non_null(report);
    return report;
}

static double number(const json_t *report, const char *key)
{
    return json_number_value(json_object_get(report, key));
}

static qn_tuning *empty(void)
{
    qn_tuning *t;
    must(qn__tuning_create(&t));
    return t;
}

/* How many steps of the plan run as this choice. */
static int steps_as(const qn_plan *plan, const char *choice)
{
    char text[64];
    int count = 0;
    for (int i = 0; i < plan->step_count; i++)
        count += strcmp(qn__call_choice_text(&plan->steps[i].call, text, sizeof text), choice) == 0;
    return count;
}

static const qn_plan_options reading = {.size = sizeof reading, .tune = "read"};
static const qn_plan_options off = {.size = sizeof off, .tune = "off"};

/* ---- tests ---- */

static void the_faster_choice_is_kept(void **state)
{
    (void)state;
    net n;
    stage s = {.fast = "wide/deep"};
    qn_tuning *t = empty();
    qn_tuner tuner = tuner_of(&s, t);
    qn_tuned entry;
    build(&n, false, &reading);
    json_t *report = tune(&s, &tuner, &n);
    assert_true(qn__tuning_find(t, "matmul : a=f32[24,2048] b=f32[2048,96]", &entry));
    assert_string_equal(entry.choice, "wide/deep");
    assert_string_equal(entry.preset, "wide/auto");
    assert_true(fabs(entry.preset_ms - 1) < 1e-9 && fabs(entry.choice_ms - 0.5) < 1e-9);
    assert_true(qn__tuning_find(t, "add : a=f32[24,96] b=f32[24,96]", &entry));
    assert_string_equal(entry.choice, entry.preset); /* timed, and stays */
    assert_int_equal(number(report, "calls"), number(report, "timed"));
    assert_int_equal(number(report, "replaced"), 1);
    assert_int_equal(number(report, "left"), 0);
    /* The two products are one call, with most of the work. */
    const json_t *first = json_array_get(json_object_get(report, "entries"), 0);
    assert_int_equal(number(first, "count"), 2);
    assert_string_equal(json_string_value(json_object_get(first, "case")), s.first);
    assert_non_null(strstr(s.first, "matmul"));
    json_decref(report);
    take_down(&n);
    qn__tuning_destroy(&t);
}

static void it_is_announced_first(void **state)
{
    (void)state;
    net n;
    stage s = {0};
    qn_tuning *t = empty();
    qn_tuner tuner = tuner_of(&s, t);
    build(&n, false, &reading);
    json_t *report = tune(&s, &tuner, &n);
    assert_true(s.said.budget == 1000 && s.said.spent == 0 && s.said.done == 0);
    assert_int_equal(s.said.calls, number(report, "calls"));
    assert_int_equal(s.said.candidates, number(report, "candidates"));
    assert_true(s.said.candidates > s.said.calls && isnan(s.said.left));
    assert_null(s.said.line);
    json_decref(report);
    take_down(&n);
    qn__tuning_destroy(&t);
}

static void a_second_time_times_nothing(void **state)
{
    (void)state;
    net n;
    stage s = {.fast = "wide/deep"}, again = {0}, asked = {.fast = "wide/narrow"};
    qn_tuning *t = empty();
    qn_tuner tuner = tuner_of(&s, t);
    build(&n, false, &reading);
    json_decref(tune(&s, &tuner, &n));
    tuner = tuner_of(&again, t);
    json_t *report = tune(&again, &tuner, &n);
    assert_int_equal(again.timings, 0);
    assert_int_equal(number(report, "calls"), 0);
    json_decref(report);
    tuner = tuner_of(&asked, t);
    tuner.options.again = true;
    report = tune(&asked, &tuner, &n);
    assert_true(asked.timings > 0 && number(report, "replaced") == 1);
    json_decref(report);
    take_down(&n);
    qn__tuning_destroy(&t);
}

static void a_failing_choice_is_not_kept(void **state)
{
    (void)state;
    net n;
    stage s = {.fast = "wide/deep", .fails = "wide/deep"};
    qn_tuning *t = empty();
    qn_tuner tuner = tuner_of(&s, t);
    build(&n, false, &reading);
    json_t *report = tune(&s, &tuner, &n);
    assert_int_equal(number(report, "replaced"), 0);
    assert_int_equal(number(report, "left"), 0);
    json_decref(report);
    take_down(&n);
    qn__tuning_destroy(&t);
    /* The default itself fails: that call has no entry, the others have. */
    stage broken = {.fails = "wide/auto"};
    t = empty();
    tuner = tuner_of(&broken, t);
    build(&n, false, &reading);
    report = tune(&broken, &tuner, &n);
    assert_int_equal(number(report, "left"), 1);
    assert_true(number(report, "timed") >= 1);
    json_decref(report);
    take_down(&n);
    qn__tuning_destroy(&t);
}

/* Wherever the budget ends: what was finished is kept, what was not has no entry. */
static void budget_exhausted(void **state)
{
    (void)state;
    net n;
    build(&n, false, &reading);
    int full = 0;
    for (double budget = 0.0015; budget < 1; budget *= 1.7) {
        stage s = {.fast = "wide/deep"};
        qn_tuning *t = empty();
        qn_tuner tuner = tuner_of(&s, t);
        tuner.options.budget_seconds = budget;
        json_t *report = tune(&s, &tuner, &n);
        assert_true(s.clock < budget + 0.0011); /* at most the run that was under way */
        assert_int_equal(number(report, "timed"), qn__tuning_count(t));
        assert_int_equal(number(report, "timed") + number(report, "left"), number(report, "calls"));
        assert_false(json_is_true(json_object_get(report, "stopped")));
        full += number(report, "left") == 0;
        json_decref(report);
        qn__tuning_destroy(&t);
    }
    assert_true(full > 0);
    take_down(&n);
}

static void stopped_by_a_person(void **state)
{
    (void)state;
    net n;
    build(&n, false, &reading);
    stage whole = {0};
    qn_tuning *t = empty();
    qn_tuner tuner = tuner_of(&whole, t);
    json_decref(tune(&whole, &tuner, &n));
    qn__tuning_destroy(&t);
    for (int after = 1; after < whole.told; after += 7) {
        stage s = {.stop_after = after};
        t = empty();
        tuner = tuner_of(&s, t);
        json_t *report = tune(&s, &tuner, &n);
        assert_true(json_is_true(json_object_get(report, "stopped")));
        assert_int_equal(s.told, after); /* nothing is asked again, nothing timed after */
        assert_true(s.timings < whole.timings);
        assert_int_equal(number(report, "timed"), qn__tuning_count(t));
        json_decref(report);
        qn__tuning_destroy(&t);
    }
    take_down(&n);
}

/* ---- what a plan makes of entries ---- */

static void plans_follow_a_record(void **state)
{
    (void)state;
    net n;
    stage s = {.fast = "wide/deep"};
    qn_tuning *t = empty();
    qn_tuner tuner = tuner_of(&s, t);
    const qn_plan_options forced = {.size = sizeof forced, .tune = "read", .variant = "plain"};
    const qn_plan_options wrong = {.size = sizeof wrong, .tune = "maybe"};
    qn_plan *bad;
    build(&n, false, &reading);
    assert_int_equal(steps_as(n.plan, "wide/deep"), 0);
    json_decref(tune(&s, &tuner, &n));
    take_down(&n);
    cpu.tuning = t; /* as a record brings it */
    build(&n, false, &reading);
    assert_int_equal(steps_as(n.plan, "wide/deep"), 2);
    assert_int_equal(qn_plan_create(n.graph, &wrong, &bad), QN_BAD_ARGUMENT);
    take_down(&n);
    build(&n, false, &off);
    assert_int_equal(steps_as(n.plan, "wide/deep"), 0);
    take_down(&n);
    build(&n, false, &forced);
    assert_int_equal(steps_as(n.plan, "plain"), n.plan->step_count);
    take_down(&n);
    cpu.tuning = NULL;
    qn__tuning_destroy(&t);
}

/* A setting with a workspace changes what the plan says it takes, before it runs. */
static void a_choice_brings_its_workspace(void **state)
{
    (void)state;
    net n;
    qn_plan_facts facts;
    qn_tuning *t = empty();
    const qn_tuned packed = {.choice = "wide/packed"};
    build(&n, false, &reading);
    qn_plan_facts_get(n.plan, &facts);
    uint64_t before = facts.total_bytes;
    assert_int_equal(facts.scratch_bytes, 0);
    int programs = facts.programs;
    take_down(&n);
    must(qn__tuning_set(t, "matmul : a=f32[24,2048] b=f32[2048,96]", &packed));
    cpu.tuning = t;
    build(&n, false, &reading);
    qn_plan_facts_get(n.plan, &facts);
    assert_int_equal(facts.scratch_bytes, IN * OUT * 4);
    assert_true(facts.total_bytes == before + facts.scratch_bytes);
    assert_int_equal(facts.programs, programs + 1); /* the packer's */
    must(qn__plan_choose(n.plan));                  /* again: the same figures */
    qn_plan_facts again;
    qn_plan_facts_get(n.plan, &again);
    assert_memory_equal(&again, &facts, sizeof facts);
    cpu.tuning = n.store->caps.tuning = NULL;
    must(qn__plan_choose(n.plan));
    assert_int_equal(steps_as(n.plan, "wide/packed"), 0);
    take_down(&n);
    qn__tuning_destroy(&t);
}

static uint64_t workspace(int rows, int n, int trans_b, const qn_choice *choice)
{
    char line[96];
    qn_call call;
    snprintf(line, sizeof line, "matmul trans_b=%d : a=f32[%d,7] b=f32[%d,%d]", trans_b, rows,
             trans_b ? n : 7, trans_b ? 7 : n);
    must(qn__case_parse(line, &call));
    call.caps = &cpu;
    qn__call_take(&call, choice);
    return choice->variant->scratch ? choice->variant->scratch(&call) : 0;
}

/* What a plan reserves for its most rows is enough for fewer, whatever the setting. */
static void fewer_rows_need_no_more(void **state)
{
    (void)state;
    static const int most[] = {1, 15, 17, 33, 64, 100, 200}, widths[] = {1, 16, 48, 64, 96, 130};
    int checked = 0;
    for (int test = 0; test < 7 * 6 * 2; test++) {
        int m = most[test % 7], n = widths[test / 7 % 6], trans_b = test / 42;
        const qn_variant *variants = qn__op(QN_OP_MATMUL)->variants;
        for (const qn_variant *v = variants; v->name; v++)
            for (int s = 0; s == 0 || (v->settings && v->settings[s].name); s++) {
                const qn_choice choice = {v, s};
                uint64_t bytes = workspace(m, n, trans_b, &choice);
                for (int rows = 1; rows < m; rows++)
                    assert_true(workspace(rows, n, trans_b, &choice) <= bytes);
                checked += bytes > 0;
            }
    }
    assert_true(checked > 100);
}

/* Run-time rows are timed at powers of two, and at all of them. */
static void rows_by_class(void **state)
{
    (void)state;
    net n;
    stage s = {.fast = "wide/deep", .min_rows = 8};
    qn_tuning *t = empty();
    qn_tuner tuner = tuner_of(&s, t);
    qn_tuned entry;
    char line[64];
    build(&n, true, &reading);
    json_decref(tune(&s, &tuner, &n));
    for (int rows = 1; rows <= ROWS; rows++) {
        snprintf(line, sizeof line, "matmul : a=f32[%d,2048] b=f32[2048,96]", rows);
        bool there = qn__tuning_find(t, line, &entry);
        bool timed = rows == 1 || rows == 2 || rows == 4 || rows == 8 || rows == 16 || rows == 24;
        assert_int_equal(there, timed);
        if (there) assert_string_equal(entry.choice, rows >= 8 ? "wide/deep" : "wide/auto");
    }
    assert_int_equal(n.plan->rows, ROWS); /* as it was */
    assert_int_equal(n.plan->steps[0].call.in[0].desc.shape.dim[0], ROWS);
    take_down(&n);
    qn__tuning_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_faster_choice_is_kept),
        cmocka_unit_test(it_is_announced_first),
        cmocka_unit_test(a_second_time_times_nothing),
        cmocka_unit_test(a_failing_choice_is_not_kept),
        cmocka_unit_test(budget_exhausted),
        cmocka_unit_test(stopped_by_a_person),
        cmocka_unit_test(plans_follow_a_record),
        cmocka_unit_test(a_choice_brings_its_workspace),
        cmocka_unit_test(fewer_rows_need_no_more),
        cmocka_unit_test(rows_by_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
