/* Tuning entries: a table of texts and its file, which may be damaged, hostile, or written by
 * several processes at once; and what an entry may make a call run as. */
#include "device/tuning.h"
#include "ops/case.h"
#include "ops/choice.h"

#include "base/fs.h"
#include "base/rng.h"

#include <quernel/log.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const qn_caps cpu = {.name = "a CPU",
                            .driver = "1.0",
                            .type = QN_CPU,
                            .compute_units = 8,
                            .max_group = 4096,
                            .local_bytes = 1 << 19,
                            .fma = true,
                            .max_alloc_bytes = 1ull << 33,
                            .global_bytes = 1ull << 34,
                            .base_align_bytes = 128,
                            .probe = {[QN_PROBE_BASIC] = QN_PROVEN,
                                      [QN_PROBE_VECTOR16] = QN_PROVEN,
                                      [QN_PROBE_LOCAL] = QN_PROVEN}};

static const char product[] = "matmul : a=f32[64,2048] b=f32[2048,96]";

static char folder[64], path[96];
static int warnings;
static char last_warning[2048];

static void count_warning(void *user, qn_log_level level, const char *line)
{
    (void)user;
    if (level != QN_LOG_WARN) return;
    warnings++;
    snprintf(last_warning, sizeof last_warning, "%s", line);
}

static int begin(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/quernel-tuning-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/entries.json", folder);
    warnings = 0;
    qn_log_set(count_warning, NULL, QN_LOG_WARN);
    return 0;
}

static int end(void **state)
{
    (void)state;
    char lock[128];
    snprintf(lock, sizeof lock, "%s.lock", path);
    unlink(lock);
    unlink(path);
    qn_log_set(NULL, NULL, QN_LOG_WARN);
    return rmdir(folder); /* fails where a temporary file was left */
}

static void must(qn_status status)
{
    if (status != QN_OK) fail_msg("%s: %s", qn_status_name(status), qn_last_error());
}

static qn_tuning *empty(void)
{
    qn_tuning *t;
    must(qn__tuning_create(&t));
    return t;
}

static void set(qn_tuning *t, const char *line, const char *choice)
{
    qn_tuned entry = {.preset = "wide/auto", .preset_ms = 2, .choice_ms = 1};
    snprintf(entry.choice, sizeof entry.choice, "%s", choice);
    must(qn__tuning_set(t, line, &entry));
}

static const char *choice_of(const qn_tuning *t, const char *line)
{
    static qn_tuned entry;
    return qn__tuning_find(t, line, &entry) ? entry.choice : "";
}

static qn_tuning *loaded(void)
{
    qn_tuning *t = empty();
    qn__tuning_load(t, path);
    return t;
}

static void write_text(const char *text, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, bytes, file), bytes);
    fclose(file);
}

/* ---- the table and its file ---- */

static void there_and_back(void **state)
{
    (void)state;
    qn_tuning *t = empty(), *again;
    qn_tuned entry;
    set(t, "add : a=f32[4] b=f32[4]", "wide/1024");
    set(t, product, "wide/deep");
    set(t, product, "wide/narrow");
    assert_int_equal(qn__tuning_count(t), 2);
    must(qn__tuning_keep(t, path, &cpu));
    again = loaded();
    assert_int_equal(qn__tuning_count(again), 2);
    assert_true(qn__tuning_find(again, product, &entry));
    assert_string_equal(entry.choice, "wide/narrow");
    assert_string_equal(entry.preset, "wide/auto");
    assert_true(entry.preset_ms == 2 && entry.choice_ms == 1);
    assert_false(qn__tuning_find(again, "mul", &entry));
    qn__tuning_drop(again, product);
    assert_string_equal(choice_of(again, product), "");
    assert_int_equal(warnings, 0);
    qn__tuning_destroy(&t);
    qn__tuning_destroy(&again);
    assert_null(again);
}

static void no_file_is_no_entry(void **state)
{
    (void)state;
    qn_tuning *t = loaded();
    assert_int_equal(qn__tuning_count(t), 0);
    assert_int_equal(warnings, 0);
    must(qn__tuning_keep(t, path, &cpu)); /* nothing new: no file is made */
    assert_int_equal(access(path, F_OK), -1);
    qn__tuning_destroy(&t);
}

static void texts_that_are_no_entries(void **state)
{
    (void)state;
    qn_tuning *t = empty();
    char line[600];
    qn_tuned entry = {.choice = "plain"};
    memset(line, 'a', sizeof line);
    line[512] = 0;
    assert_int_equal(qn__tuning_set(t, line, &entry), QN_BAD_DATA);
    line[511] = 0;
    must(qn__tuning_set(t, line, &entry));
    assert_int_equal(qn__tuning_set(t, "", &entry), QN_BAD_DATA);
    assert_int_equal(qn__tuning_set(t, "a\nb", &entry), QN_BAD_DATA);
    entry.choice[0] = 0;
    assert_int_equal(qn__tuning_set(t, "add", &entry), QN_BAD_DATA);
    entry = (qn_tuned){.choice = "plain", .choice_ms = -1};
    assert_int_equal(qn__tuning_set(t, "add", &entry), QN_BAD_DATA);
    assert_int_equal(qn__tuning_count(t), 1);
    qn__tuning_destroy(&t);
}

/* ---- damage ---- */

static void damaged(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "null",
        "{}",
        "{\"format\": 1}",
        "{\"format\": 2, \"entries\": {}}",
        "{\"format\": \"1\", \"entries\": {}}",
        "{\"format\": 1, \"entries\": []}",
        "{\"format\": 1, \"entries\": {\"add\": 1}}",
        "{\"format\": 1, \"entries\": {\"add\": {}}}",
        "{\"format\": 1, \"entries\": {\"add\": {\"choice\": 7}}}",
        "{\"format\": 1, \"entries\": {\"add\": {\"choice\": \"\"}}}",
        "{\"format\": 1, \"entries\": {\"\": {\"choice\": \"plain\"}}}",
        "{\"format\": 1, \"entries\": {\"add\": {\"choice\": \"a\\u0007\"}}}",
        "{\"format\": 1, \"entries\": {\"add\": {\"choice\": \"plain\", \"best_ms\": \"x\"}}}",
        "{\"format\": 1, \"entries\": {\"add\": {\"choice\": \"plain\", \"best_ms\": -1}}}",
        "{\"format\": 1, \"entries\": {\"a\": {\"choice\": \"b\"}, \"a\": {\"choice\": \"c\"}}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        write_text(texts[i], strlen(texts[i]));
        warnings = 0;
        qn_tuning *t = loaded();
        assert_int_equal(qn__tuning_count(t), 0);
        assert_int_equal(warnings, 1);
        assert_non_null(strstr(last_warning, "entries.json"));
        set(t, product, "wide/deep"); /* what is kept then replaces it */
        must(qn__tuning_keep(t, path, &cpu));
        qn__tuning_destroy(&t);
        t = loaded();
        assert_string_equal(choice_of(t, product), "wide/deep");
        qn__tuning_destroy(&t);
    }
}

/* Cut anywhere, and with bytes changed: no entry that is none, no crash. */
static void cut_and_changed(void **state)
{
    (void)state;
    qn_tuning *t = empty();
    char *text;
    size_t bytes;
    qn_rng rng = {.seed = 11};
    set(t, product, "wide/deep");
    set(t, "add : a=f32[4] b=f32[4]", "plain");
    must(qn__tuning_keep(t, path, &cpu));
    qn__tuning_destroy(&t);
    must(qn__file_read(path, &text, &bytes));
    for (size_t cut = 0; cut < bytes; cut++) {
        write_text(text, cut);
        t = loaded();
        assert_int_equal(qn__tuning_count(t), 0);
        qn__tuning_destroy(&t);
    }
    for (int i = 0; i < 3000; i++) {
        char *copy = malloc(bytes);
        memcpy(copy, text, bytes);
        for (int change = 0; change < 3; change++)
            copy[qn__rng_below(&rng, bytes)] = (char)qn__rng_below(&rng, 256);
        write_text(copy, bytes);
        t = loaded();
        assert_true(qn__tuning_count(t) <= 2);
        qn__tuning_check(t, &cpu, path);
        qn__tuning_destroy(&t);
        free(copy);
    }
    free(text);
}

/* ---- several writers ---- */

static void writers_merge(void **state)
{
    (void)state;
    qn_tuning *a = loaded(), *b = loaded(); /* both saw no file */
    set(a, "add : a=f32[4] b=f32[4]", "wide/1024");
    set(a, product, "wide/deep");
    set(b, product, "wide/narrow");
    set(b, "add : a=f32[5] b=f32[5]", "plain");
    must(qn__tuning_keep(a, path, &cpu));
    must(qn__tuning_keep(b, path, &cpu));
    qn_tuning *t = loaded();
    assert_int_equal(qn__tuning_count(t), 3);
    assert_string_equal(choice_of(t, product), "wide/narrow"); /* the last one wins */
    assert_string_equal(choice_of(t, "add : a=f32[4] b=f32[4]"), "wide/1024");
    set(a, "add : a=f32[6] b=f32[6]", "plain"); /* a does not write its old product again */
    must(qn__tuning_keep(a, path, &cpu));
    qn__tuning_destroy(&t);
    t = loaded();
    assert_int_equal(qn__tuning_count(t), 4);
    assert_string_equal(choice_of(t, product), "wide/narrow");
    qn__tuning_destroy(&a);
    qn__tuning_destroy(&b);
    qn__tuning_destroy(&t);
}

static void processes_at_once(void **state)
{
    (void)state;
    enum { WRITERS = 4, EACH = 12 };
    pid_t pids[WRITERS];
    for (int w = 0; w < WRITERS; w++) {
        pids[w] = fork();
        if (pids[w] == 0) {
            char line[64];
            bool good = true;
            for (int i = 0; good && i < EACH; i++) {
                qn_tuning *t;
                qn_tuned entry = {.choice = "plain"};
                snprintf(line, sizeof line, "add : a=f32[%d] b=f32[%d]", w, i);
                good = qn__tuning_create(&t) == QN_OK && qn__tuning_set(t, line, &entry) == QN_OK &&
                       qn__tuning_keep(t, path, &cpu) == QN_OK;
                qn__tuning_destroy(&t);
            }
            _exit(good && warnings == 0 ? 0 : 1);
        }
    }
    for (int w = 0; w < WRITERS; w++) {
        int code;
        assert_int_equal(waitpid(pids[w], &code, 0), pids[w]);
        assert_int_equal(code, 0);
    }
    qn_tuning *t = loaded();
    assert_int_equal(qn__tuning_count(t), WRITERS * EACH);
    assert_int_equal(warnings, 0);
    qn__tuning_destroy(&t);
}

static void where_nothing_can_be_written(void **state)
{
    (void)state;
    qn_tuning *t = empty();
    set(t, product, "wide/deep");
    assert_int_equal(qn__tuning_keep(t, "/nowhere/at/all.json", &cpu), QN_CANNOT_WRITE);
    must(qn__tuning_keep(t, path, &cpu)); /* still new: nothing was lost */
    qn_tuning *again = loaded();
    assert_int_equal(qn__tuning_count(again), 1);
    qn__tuning_destroy(&t);
    qn__tuning_destroy(&again);
}

/* ---- what an entry may do ---- */

static qn_call parsed(const char *line)
{
    qn_call call;
    must(qn__case_parse(line, &call));
    call.caps = &cpu;
    return call;
}

static void choices_have_one_order(void **state)
{
    (void)state;
    qn_call call = parsed(product);
    qn_choice list[QN_MAX_CHOICES];
    char text[64], names[1024] = "";
    int count = qn__call_choices(&call, list);
    for (int i = 0; i < count; i++) {
        assert_int_equal(list[i].variant->order, list[0].variant->order);
        strcat(strcat(names, qn__choice_text(&list[i], text, sizeof text)), " ");
    }
    assert_true(strncmp(names, "wide/auto ", 10) == 0); /* the default leads */
    assert_non_null(strstr(names, "wide/deep "));
    assert_non_null(strstr(names, "tile"));
    assert_non_null(strstr(names, "plain "));
    assert_null(strstr(names, "clblast")); /* adds in an order of its own */
    qn_call small = parsed("matmul : a=f32[5,7] b=f32[7,9]");
    count = qn__call_choices(&small, list);
    for (int i = 0; i < count; i++)
        assert_string_not_equal(qn__choice_text(&list[i], text, sizeof text), "wide/deep");
}

static void entries_are_followed(void **state)
{
    (void)state;
    qn_tuning *t = empty();
    qn_call call = parsed(product);
    char text[64];
    bool tuned;
    set(t, product, "wide/deep");
    must(qn__call_choose_tuned(&call, NULL, t, &tuned));
    assert_string_equal(qn__call_choice_text(&call, text, sizeof text), "wide/deep");
    assert_true(tuned);
    must(qn__call_choose_tuned(&call, NULL, NULL, &tuned)); /* off */
    assert_string_equal(qn__call_choice_text(&call, text, sizeof text), "wide/auto");
    assert_false(tuned);
    must(qn__call_choose_tuned(&call, "plain", t, &tuned)); /* forced */
    assert_string_equal(qn__call_choice_text(&call, text, sizeof text), "plain");
    assert_false(tuned);
    qn_call other = parsed("matmul : a=f32[64,2048] b=f32[2048,97]"); /* not that shape */
    must(qn__call_choose_tuned(&other, NULL, t, &tuned));
    assert_string_equal(qn__call_choice_text(&other, text, sizeof text), "wide/auto");
    qn__tuning_destroy(&t);
}

static void hostile_entries_are_not(void **state)
{
    (void)state;
    static const struct {
        const char *line, *choice;
    } table[] = {
        {product, "clblast"}, /* another order */
        {product, "wide"},
        {product, "wide/"},
        {product, "wide/deeper"},
        {product, "/deep"},
        {product, "magic"},
        {product, "plain/deep"},
        {"matmul : a=f32[5,7] b=f32[7,9]", "wide/deep"}, /* not a choice of this shape */
        {"softmax : x=f32[4,5]", "wide/auto"},
    };
    char before[64], after[64];
    bool tuned;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        qn_tuning *t = empty();
        set(t, table[i].line, table[i].choice);
        qn_call call = parsed(table[i].line);
        must(qn__call_choose(&call, NULL));
        qn__call_choice_text(&call, before, sizeof before);
        must(qn__call_choose_tuned(&call, NULL, t, &tuned));
        assert_string_equal(qn__call_choice_text(&call, after, sizeof after), before);
        assert_false(tuned);
        warnings = 0;
        qn__tuning_check(t, &cpu, "entries.json");
        assert_int_equal(qn__tuning_count(t), 0);
        assert_int_equal(warnings, 1);
        qn__tuning_destroy(&t);
    }
}

/* Lines that no call has: dropped, whatever they say. */
static void hostile_lines(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "nonsense",
        "matmul",
        "matmul :",
        "matmul : a=f32[64,2048]",
        "matmul : a=f32[64,2048] b=f32[7,7]",
        "matmul trans_b=1e300 : a=f32[5,7] b=f32[7,9]",
        "matmul trans_b=nan : a=f32[5,7] b=f32[7,9]",
        "matmul act=magic : a=f32[5,7] b=f32[7,9]",
        "matmul : a=f32[9223372036854775807,9223372036854775807] b=f32[7,9]",
        "matmul : a=f32[99999999999999999999,7] b=f32[7,9]",
        "matmul : a=f32[4294967296,4294967296] b=f32[4294967296,4294967296]",
        "matmul : a=f32[-5,7] b=f32[7,9]",
        "matmul : a=f32[5,7 b=f32[7,9]",
        "matmul : a=f32[1,2,3,4,5,6,7] b=f32[7,9]",
        "matmul : a=q99[5,7] b=f32[7,9]",
        "matmul : z=f32[5,7]",
        "matmul : a=f32[5,7] b=f32[7,9] (backward)",
        "matmul : +",
        "reduce axis=99 : x=f32[4,5]",
        "slice from=9000000000000000000 to=-1 : x=f32[4,5]",
    };
    qn_tuning *t = empty();
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) set(t, lines[i], "plain");
    set(t, product, "plain");
    qn__tuning_check(t, &cpu, "entries.json");
    assert_int_equal(qn__tuning_count(t), 1);
    assert_string_equal(choice_of(t, product), "plain");
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last_warning, "20 tuning entries"));
    qn__tuning_destroy(&t);
}

static void modes(void **state)
{
    (void)state;
    qn_tune_mode mode;
    char *before = getenv("QN_TUNE") ? strdup(getenv("QN_TUNE")) : NULL;
    unsetenv("QN_TUNE");
    must(qn__tune_mode(NULL, &mode));
    assert_int_equal(mode, QN_TUNE_READ);
    setenv("QN_TUNE", "off", 1);
    must(qn__tune_mode("", &mode));
    assert_int_equal(mode, QN_TUNE_OFF);
    must(qn__tune_mode("on", &mode)); /* the option says more than the environment */
    assert_int_equal(mode, QN_TUNE_ON);
    assert_int_equal(qn__tune_mode("On", &mode), QN_BAD_ARGUMENT);
    setenv("QN_TUNE", "sometimes", 1);
    assert_int_equal(qn__tune_mode(NULL, &mode), QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "QN_TUNE is \"sometimes\""));
    if (before) setenv("QN_TUNE", before, 1);
    else unsetenv("QN_TUNE");
    free(before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(there_and_back),
        TEST(no_file_is_no_entry),
        TEST(texts_that_are_no_entries),
        TEST(damaged),
        TEST(cut_and_changed),
        TEST(writers_merge),
        TEST(processes_at_once),
        TEST(where_nothing_can_be_written),
        TEST(choices_have_one_order),
        TEST(entries_are_followed),
        TEST(hostile_entries_are_not),
        TEST(hostile_lines),
        TEST(modes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
