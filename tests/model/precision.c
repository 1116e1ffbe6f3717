/* Training in 16 bits beside training in f32: the losses stay close, memory is as planned, an
 * overflow in f16 skips its step without a trace in the weights, and a resumed run has the same
 * bits. */
#include "model/trainer_run.h"

enum { STEPS = 60, RESUMED = 6 };

static const char *const archs[] = {"gpt2", "llama"};

static keys keys_of(const char *arch, const char *precision)
{
    return (keys){.row = {{"arch", arch}, {"precision", precision}, {"dropout", "0"}}};
}

/* The mean loss of the last 20 steps. */
static double train(const tiny_run *run, const char *arch, const char *precision, bool narrow,
                    uint64_t *used)
{
    keys k = keys_of(arch, precision);
    if (narrow) {
        k.row[3][0] = "moments", k.row[3][1] = "bf16";
        k.row[4][0] = "master", k.row[4][1] = "none";
    }
    qn_trainer *t = trainer_make(run, "out", &k);
    double sum = 0;
    qn_device_memory(run->device, used, NULL);
    assert_int_equal(*used, qn__training_bytes(t->training));
    for (int i = 0; i < STEPS; i++) {
        qn_step_info info = {.size = sizeof info};
        assert_ok(qn_trainer_step(t, &info));
        assert_null(info.skipped);
        if (i >= STEPS - 20) sum += info.loss;
    }
    qn_trainer_destroy(&t);
    return sum / 20;
}

static void losses_stay_close(void **state)
{
    (void)state;
    tiny_run run = run_make();
    for (size_t a = 0; a < 2; a++) {
        uint64_t f32_bytes, used;
        double f32 = train(&run, archs[a], "f32", false, &f32_bytes);
        for (int p = 0; p < 3; p++) {
            const char *precision = p == 1 ? "f16" : "bf16";
            double loss = train(&run, archs[a], precision, p == 2, &used);
            print_message("%s %s%s: %.5f, f32 %.5f; %llu bytes, f32 %llu\n", archs[a], precision,
                          p == 2 ? " throughout" : "", loss, f32, (unsigned long long)used,
                          (unsigned long long)f32_bytes);
            assert_true(fabs(loss - f32) < 0.02);
            assert_true(used < f32_bytes); /* activations outweigh the copies of the weights */
        }
    }
    run_drop(&run);
}

static void overflow_is_skipped(void **state)
{
    (void)state;
    tiny_run run = run_make();
    keys k = keys_of("gpt2", "f16");
    qn_trainer *t = trainer_make(&run, "out", &k);
    qn_step_info info = {.size = sizeof info};
    assert_ok(qn_trainer_step(t, &info));
    assert_null(info.skipped);
    assert_true(info.loss_scale == 65536);
    bytes weights = state_bytes(t, false), moments = state_bytes(t, true);
    t->loss_scale.scale = 0x1p60; /* gradients of some 1e-3 leave the range of f16 */
    int64_t updates = t->updates;
    assert_ok(qn_trainer_step(t, &info));
    assert_non_null(info.skipped);
    assert_non_null(strstr(info.skipped, "overflow"));
    assert_int_equal(t->updates, updates);
    assert_int_equal(t->skips.in_a_row, 0); /* an overflow is no sign of a run that diverges */
    assert_true(t->loss_scale.scale == 0x1p59);
    assert_same_bytes(state_bytes(t, false), weights, "weights after an overflow");
    assert_same_bytes(state_bytes(t, true), moments, "moments after an overflow");
    int skipped = 1;
    for (; skipped < 60; skipped++) { /* halved until it fits */
        assert_ok(qn_trainer_step(t, &info));
        if (!info.skipped) break;
    }
    assert_true(skipped > 1 && skipped < 60);
    assert_true(isfinite(info.loss) && isfinite(info.grad_norm));
    qn_trainer_destroy(&t);
    run_drop(&run);
}

static void resumes_to_the_same_bits(void **state)
{
    (void)state;
    for (int way = 0; way < 3; way++) {
        int p = way == 1;
        tiny_run run = run_make();
        keys k = keys_of(archs[p], p ? "f16" : "bf16");
        if (way == 2) { /* no f32 state at all */
            k.row[3][0] = "moments", k.row[3][1] = "bf16";
            k.row[4][0] = "master", k.row[4][1] = "none";
        }
        qn_trainer *whole = trainer_make(&run, "whole", &k), *half = trainer_make(&run, "half", &k);
        for (int i = 0; i < RESUMED; i++) assert_ok(qn_trainer_step(whole, NULL));
        for (int i = 0; i < RESUMED / 2; i++) assert_ok(qn_trainer_step(half, NULL));
        if (p) half->loss_scale.clean = whole->loss_scale.clean = 77; /* kept, too */
        assert_ok(qn_trainer_save(half));
        qn_trainer_destroy(&half);
        int end = way == 2 ? 5 : 3;
        k.row[end][0] = "resume";
        k.row[end][1] = "true";
        half = trainer_make(&run, "half", &k);
        if (p) assert_int_equal(half->loss_scale.clean, 77);
        for (int i = RESUMED / 2; i < RESUMED; i++) assert_ok(qn_trainer_step(half, NULL));
        assert_same_state(half, whole);
        qn_trainer_destroy(&half);
        qn_trainer_destroy(&whole);
        run_drop(&run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(losses_stay_close),
                                       cmocka_unit_test(overflow_is_skipped),
                                       cmocka_unit_test(resumes_to_the_same_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
