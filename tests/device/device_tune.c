/* Tuning on the default device: a small product is really timed, its entries reach a file and come
 * back, a second time times nothing, and no bit of a result changes, whatever the entries say. */
#include "base/fs.h"
#include "graph/tune.h"

#include <dirent.h>
#include <jansson.h>
#include <quernel/log.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROWS = 40, IN = 96, HIDDEN = 80, OUT = 48 };

static void must(qn_status status)
{
    if (status != QN_OK) fail_msg("%s: %s", qn_status_name(status), qn_last_error());
}

static int warnings;

static void count_warning(void *user, qn_log_level level, const char *line)
{
    (void)user;
    (void)line;
    warnings += level == QN_LOG_WARN;
}

static qn_device *opened(void)
{
    qn_device *device;
    must(qn_device_open(NULL, &device));
    return device;
}

typedef struct net {
    qn_device *device;
    qn_store *store;
    qn_graph *graph;
    qn_plan *plan;
} net;

static void add(qn_store *store, const char *name, int64_t rows, int64_t cols)
{
    qn_shape shape = {.rank = 2, .dim = {rows, cols}};
    must(qn_store_add(store, "", name, QN_F32, &shape));
}

static void write_wave(qn_store *store, const char *name)
{
    qn_shape shape;
    must(qn_store_find(store, name, NULL, &shape));
    size_t count = (size_t)qn_shape_elements(&shape);
    float *values = malloc(count * sizeof *values);
    for (size_t i = 0; i < count; i++) values[i] = (float)((i * 37 + 11) % 101) / 101.0f - 0.5f;
    must(qn_store_write(store, name, values, count * sizeof *values));
    free(values);
}

/* y = gelu(x w1) w2 + x w3 */
static net build(bool rows, const char *mode)
{
    net n = {.device = opened()};
    const qn_plan_options options = {.size = sizeof options, .tune = mode, .tune_seconds = 60};
    must(qn_store_create(n.device, &n.store));
    add(n.store, "x", ROWS, IN);
    add(n.store, "w1", IN, HIDDEN);
    add(n.store, "w2", HIDDEN, OUT);
    add(n.store, "w3", IN, OUT);
    add(n.store, "y", ROWS, OUT);
    must(qn_graph_create(n.store, &n.graph));
    qn_tensor *x = rows ? qn_graph_rows(n.graph, "x") : qn_graph_input(n.graph, "x");
    qn_tensor *h = qn_apply(n.graph, "matmul act=gelu", x, qn_graph_weight(n.graph, "w1"));
    qn_tensor *y =
        qn_apply(n.graph, "add", qn_apply(n.graph, "matmul", h, qn_graph_weight(n.graph, "w2")),
                 qn_apply(n.graph, "matmul", x, qn_graph_weight(n.graph, "w3")));
    must(qn_graph_status(n.graph));
    must(qn_graph_assign(n.graph, y, "y"));
    must(qn_plan_create(n.graph, &options, &n.plan));
    must(qn_plan_prepare(n.plan));
    write_wave(n.store, "x");
    write_wave(n.store, "w1");
    write_wave(n.store, "w2");
    write_wave(n.store, "w3");
    return n;
}

static void take_down(net *n)
{
    qn_plan_destroy(&n->plan);
    qn_graph_destroy(&n->graph);
    qn_store_destroy(&n->store);
    qn_device_close(&n->device);
}

static void run(net *n, int64_t rows, float y[ROWS * OUT])
{
    must(qn_plan_run(n->plan, QN_ALL, rows, 0));
    must(qn_store_read(n->store, "y", y, ROWS * OUT * sizeof *y));
}

static json_t *tune(net *n, bool again)
{
    const qn_tune_options options = {.size = sizeof options, .budget_seconds = 120, .again = again};
    char *text;
    must(qn_plan_tune(n->plan, &options, &text));
    json_t *report = json_loads(text, 0, NULL);
    assert_non_null(report);
    qn_free(text);
    return report;
}

static int number(const json_t *report, const char *key)
{
    return (int)json_number_value(json_object_get(report, key));
}

/* ---- a cache folder of its own, with the probes and programs known so far ---- */

static char folder[64];

static int begin(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/quernel-tune-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    setenv("QN_CACHE_DIR", folder, 1);
    setenv("QN_TUNE", "off", 1);
    qn_log_set(count_warning, NULL, QN_LOG_WARN);
    warnings = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* Only the entries' file and its lock lie there. */
static void assert_tidy(void)
{
    char name[96];
    struct dirent *entry;
    int files = 0, others = 0;
    snprintf(name, sizeof name, "%s/tuning", folder);
    DIR *all = opendir(name);
    assert_non_null(all);
    while ((entry = readdir(all))) {
        const char *ending = strstr(entry->d_name, ".json");
        if (!ending) continue;
        files += strcmp(ending, ".json") == 0;
        others += strcmp(ending, ".json") != 0 && strcmp(ending, ".json.lock") != 0;
    }
    closedir(all);
    assert_int_equal(files, 1);
    assert_int_equal(others, 0);
}

static void timed_kept_and_read_again(void **state)
{
    (void)state;
    static float before[ROWS * OUT], after[ROWS * OUT];
    net n = build(false, "read");
    run(&n, 0, before);
    json_t *report = tune(&n, false);
    int calls = number(report, "calls");
    assert_true(calls >= 3);
    assert_int_equal(number(report, "timed"), calls);
    assert_int_equal((int)json_array_size(json_object_get(report, "entries")), calls);
    size_t index;
    json_t *row;
    json_array_foreach(json_object_get(report, "entries"), index, row)
    {
        double preset = json_number_value(json_object_get(row, "default_ms"));
        double best = json_number_value(json_object_get(row, "best_ms"));
        bool same = json_equal(json_object_get(row, "default"), json_object_get(row, "choice"));
        assert_true(preset > 0 && best > 0);
        assert_true(same ? best == preset : best <= 0.97 * preset);
    }
    assert_true(qn__is_file(json_string_value(json_object_get(report, "file"))));
    json_decref(report);
    memset(after, 0, sizeof after);
    run(&n, 0, after); /* the plan follows them now */
    assert_memory_equal(before, after, sizeof before);
    report = tune(&n, false);
    assert_int_equal(number(report, "calls"), 0);
    json_decref(report);
    take_down(&n);
    assert_tidy();

    n = build(false, "read"); /* another process, as far as the file knows */
    assert_int_equal(qn__tuning_count(qn__plan_entries(n.plan)), calls);
    run(&n, 0, after);
    assert_memory_equal(before, after, sizeof before);
    report = tune(&n, false);
    assert_int_equal(number(report, "calls"), 0);
    json_decref(report);
    take_down(&n);
    n = build(false, NULL); /* $QN_TUNE is off */
    assert_null(qn__plan_entries(n.plan));
    take_down(&n);
    assert_int_equal(warnings, 0);
}

static void on_times_what_is_missing(void **state)
{
    (void)state;
    static float plain[ROWS * OUT], tuned[ROWS * OUT];
    net n = build(false, "off");
    run(&n, 0, plain);
    take_down(&n);
    n = build(false, "on");
    assert_true(qn__tuning_count(qn__plan_entries(n.plan)) >= 3);
    run(&n, 0, tuned);
    assert_memory_equal(plain, tuned, sizeof plain);
    json_t *report = tune(&n, false);
    assert_int_equal(number(report, "calls"), 0);
    json_decref(report);
    take_down(&n);
}

/* Every choice of every call as its entry, at every number of rows: the same bits. */
static void no_entry_changes_a_bit(void **state)
{
    (void)state;
    static float want[ROWS * OUT], got[ROWS * OUT];
    static const int rows[] = {1, 2, 3, 7, 8, 9, 17, 40, 5, 33};
    net n = build(true, "off"), other;
    bool more = true;
    int moved = 0;
    for (int c = 0; more; c++) {
        other = build(true, "read");
        qn_tuning *entries = qn__tuned(other.device);
        more = false;
        for (int r = 1; r <= 64; r *= 2) {
            must(qn__plan_set_rows(other.plan, r < ROWS ? r : ROWS));
            for (int i = 0; i < other.plan->step_count; i++) {
                qn_call call;
                qn_choice list[QN_MAX_CHOICES];
                char line[512];
                qn_tuned entry = {0};
                qn__plan_call(other.plan, &other.plan->steps[i], &call);
                int count = qn__call_choices(&call, list);
                more |= c + 1 < count;
                /* different ones at different rows */
                qn__choice_text(&list[(c + r) % count], entry.choice, sizeof entry.choice);
                qn__call_text(&call, line, sizeof line);
                must(qn__tuning_set(entries, line, &entry));
            }
        }
        must(qn__plan_choose(other.plan));
        for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
            size_t bytes = (size_t)rows[r] * OUT * sizeof *want;
            run(&n, rows[r], want);
            run(&other, rows[r], got);
            assert_memory_equal(want, got, bytes);
            for (int i = 0; i < other.plan->step_count; i++)
                moved += other.plan->steps[i].call.setting != 0;
        }
        take_down(&other);
    }
    take_down(&n);
    assert_true(moved > 10);
    assert_int_equal(warnings, 0);
}

/* A file that says nonsense: a warning, the defaults, and a new file in its place. */
static void a_corrupt_file(void **state)
{
    (void)state;
    static float want[ROWS * OUT], got[ROWS * OUT];
    net n = build(false, "off");
    run(&n, 0, want);
    char *path = qn__tuning_path(qn__device_caps(n.device));
    take_down(&n);
    static const char bad_order[] =
        "{\"format\": 1, \"entries\": {\"matmul : a=f32[40,96] b=f32[96,48]\": "
        "{\"choice\": \"clblast\"}}}";
    const char *const texts[] = {"{\"format\": 1, \"ent", "\0\1\2", bad_order};
    for (int i = 0; i < 3; i++) {
        must(qn__file_replace(path, texts[i], i == 2 ? sizeof bad_order - 1 : 3 + 10 * (i == 0)));
        warnings = 0;
        n = build(false, "read");
        assert_int_equal(qn__tuning_count(qn__plan_entries(n.plan)), 0);
        assert_int_equal(warnings, 1);
        run(&n, 0, got);
        assert_memory_equal(want, got, sizeof want);
        take_down(&n);
    }
    free(path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(timed_kept_and_read_again),
        TEST(on_times_what_is_missing),
        TEST(no_entry_changes_a_bit),
        TEST(a_corrupt_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
