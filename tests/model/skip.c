/* Steps that are not taken: weights and moments stay bit for bit, the record says why, windows and
 * verdicts survive a resume, and too many steps that are not finite stop the run. */
#include "model/trainer_run.h"

enum { FULL = QN_OUTLIER_WINDOW };

/* ---- windows ---- */

static void windows(void **state)
{
    (void)state;
    qn_outliers w = {0}, again;
    for (int i = 0; i < FULL; i++) assert_true(isnan(qn__outliers_add(&w, i % 2 ? 3.0 : 1.0)));
    /* the 128 before have mean 2 and deviation 1 */
    assert_true(qn__outliers_add(&w, 7.0) == 5.0);
    /* 1 has gone, 7 has come: mean 2 + 6/128, mean of squares 5 + 48/128 */
    double mean = 2 + 6.0 / FULL, deviation = sqrt(5 + 48.0 / FULL - mean * mean);
    double z = qn__outliers_add(&w, 2.0);
    if (fabs(z - (2.0 - mean) / deviation) > 1e-12) fail_msg("z is %.17g", z);
    json_t *json = json_pack("{s:o}", "w", qn__outliers_to_json(&w));
    char *text = json_dumps(json, 0);
    json_decref(json);
    json = json_loads(text, 0, NULL);
    assert_ok(qn__outliers_from_json(&again, json, "x", "w"));
    assert_memory_equal(&again, &w, sizeof w);
    json_decref(json);
    free(text);
    json = json_loads("{\"w\":{\"next\":5,\"values\":[1]}}", 0, NULL);
    assert_bad(qn__outliers_from_json(&again, json, "file", "w"), "file", "w");
    json_decref(json);
    memset(&w, 0, sizeof w);
    for (int i = 0; i < FULL; i++) qn__outliers_add(&w, 1.5);
    assert_true(qn__outliers_add(&w, 1.5) == 0);
}

/* ---- injecting ---- */

/* One step in which the last norm's gain is another: the batch then has a loss as given by it. What
 * the step left of all other weights is compared with what was there. */
static void bad_step(qn_trainer *t, float gain, qn_step_info *info, qn_status want)
{
    const char *name = "transformer.ln_f.weight";
    bytes norm = {0}, bad = {0}, weights, moments = state_bytes(t, true);
    read_tensor(t, "", name, &norm);
    for (size_t i = 0; i < norm.count; i += sizeof gain) put(&bad, &gain, sizeof gain);
    assert_ok(qn_store_write(t->training->store, name, bad.data, bad.count));
    weights = state_bytes(t, false);
    qn_status status = qn_trainer_step(t, info);
    if (status != want) fail_msg("%s: %s", qn_status_name(status), qn_last_error());
    assert_same_bytes(weights, state_bytes(t, false), "weights after a skipped step");
    assert_same_bytes(moments, state_bytes(t, true), "moments after a skipped step");
    assert_ok(qn_store_write(t->training->store, name, norm.data, norm.count));
    free(norm.data);
    free(bad.data);
}

/* Up to step `to`, the steps of `bad` (ended by 0) with that gain. */
static void go_on(qn_trainer *t, int64_t to, const int64_t *bad, float gain)
{
    qn_step_info info = {.size = sizeof info};
    while (t->step < to) {
        bool now = false;
        for (int i = 0; bad[i]; i++) now |= bad[i] == t->step + 1;
        if (now) bad_step(t, gain, &info, QN_OK);
        else assert_ok(qn_trainer_step(t, &info));
        if (now != (info.skipped != NULL))
            fail_msg("step %lld: %s", (long long)t->step, info.skipped ? info.skipped : "taken");
    }
}

static char *record_of(const tiny_run *run, const char *out)
{
    bytes text = file_bytes(path_in(path_in(run->root, out), "skipped.jsonl"));
    put(&text, "", 1);
    return (char *)text.data;
}

/* The same steps at one go, and in three pieces: stopped before the bad steps and after them. */
static void check_resume(float gain, const keys *own, const char *why)
{
    static const int64_t bad[] = {140, 142, 143, 0};
    tiny_run run = run_make();
    keys resumed = *own;
    int at = 0;
    while (resumed.row[at][0]) at++;
    resumed.row[at][0] = "resume";
    resumed.row[at][1] = "true";
    qn_trainer *alone = trainer_make(&run, "alone", own), *t = trainer_make(&run, "pieces", own);
    go_on(alone, 150, bad, gain);
    assert_int_equal(alone->updates, 147);
    const int64_t stops[] = {135, 142, 150};
    for (int i = 0; i < 3; i++) {
        go_on(t, stops[i], bad, gain);
        assert_ok(qn_trainer_save(t));
        if (i == 1) go_on(t, 144, bad, gain); /* lost: the record forgets it as well */
        qn_trainer_destroy(&t);
        t = trainer_make(&run, "pieces", &resumed);
        assert_int_equal(t->step, stops[i]);
    }
    assert_same_state(alone, t);
    assert_memory_equal(&alone->skips.loss, &t->skips.loss, sizeof t->skips.loss);
    assert_memory_equal(&alone->skips.norm, &t->skips.norm, sizeof t->skips.norm);
    assert_int_equal(alone->skips.in_a_row, t->skips.in_a_row);
    assert_int_equal(t->updates, 147);
    char *one = record_of(&run, "alone"), *other = record_of(&run, "pieces");
    assert_string_equal(one, other);
    if (!strstr(one, "{\"step\":140,") || !strstr(one, "{\"step\":143,") || !strstr(one, why))
        fail_msg("the record says %s", one);
    free(one);
    free(other);
    qn_trainer_destroy(&alone);
    qn_trainer_destroy(&t);
    run_drop(&run);
}

static void not_finite(void **state)
{
    (void)state;
    check_resume(NAN, &(keys){.row = {{"max_skips", "2"}}}, "the loss is");
}

static void high_loss(void **state)
{
    (void)state;
    check_resume(300, &(keys){.row = {{"skip_loss_z", "6"}}}, "standard deviations high");
}

static void high_norm(void **state)
{
    (void)state;
    check_resume(300, &(keys){.row = {{"skip_grad_z", "6"}}}, "the gradient's norm");
}

static void off_by_default(void **state)
{
    (void)state;
    tiny_run run = run_make();
    qn_trainer *t = trainer_make(&run, "out", NULL);
    qn_step_info info = {.size = sizeof info};
    for (int i = 0; i < FULL + 2; i++) assert_ok(qn_trainer_step(t, &info));
    float gain[32];
    for (int i = 0; i < 32; i++) gain[i] = 300;
    assert_ok(qn_store_write(t->training->store, "transformer.ln_f.weight", gain, sizeof gain));
    assert_ok(qn_trainer_step(t, &info));
    assert_null(info.skipped);
    assert_int_equal(t->updates, FULL + 3);
    qn_trainer_destroy(&t);
    run_drop(&run);
}

static void too_many(void **state)
{
    (void)state;
    tiny_run run = run_make();
    qn_trainer *t = trainer_make(&run, "out", &(keys){.row = {{"max_skips", "2"}}});
    qn_step_info info = {.size = sizeof info};
    assert_ok(qn_trainer_step(t, &info));
    bad_step(t, NAN, &info, QN_OK);
    bad_step(t, NAN, &info, QN_OK);
    assert_ok(qn_trainer_step(t, &info)); /* a good one in between: counted from the start */
    bad_step(t, NAN, &info, QN_OK);
    bad_step(t, INFINITY, &info, QN_OK);
    assert_non_null(info.skipped);
    bad_step(t, NAN, &info, QN_NON_FINITE);
    assert_non_null(strstr(qn_last_error(), "step 7"));
    assert_int_equal(t->step, 6);
    assert_int_equal(qn_status_exit_code(QN_NON_FINITE), 77);
    qn_trainer_destroy(&t);
    run_drop(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows),   cmocka_unit_test(not_finite),     cmocka_unit_test(high_loss),
        cmocka_unit_test(high_norm), cmocka_unit_test(off_by_default), cmocka_unit_test(too_many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
