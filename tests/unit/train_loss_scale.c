/* The schedule of the loss scale against a script of overflows, as DeepSpeed tests its own. */
#include "train/loss_scale.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void halves_and_doubles(void **state)
{
    (void)state;
    qn_loss_scale s = qn__loss_scale_start(QN_F16, 0);
    assert_true(s.dynamic);
    assert_true(s.scale == 65536);
    qn__loss_scale_update(&s, true);
    qn__loss_scale_update(&s, true);
    assert_true(s.scale == 16384);
    for (int i = 0; i < 1999; i++) qn__loss_scale_update(&s, false);
    assert_true(s.scale == 16384);
    qn__loss_scale_update(&s, false); /* the 2000th */
    assert_true(s.scale == 32768);
    for (int i = 0; i < 1999; i++) qn__loss_scale_update(&s, false);
    qn__loss_scale_update(&s, true); /* counts from here again */
    assert_true(s.scale == 16384);
    for (int i = 0; i < 2000; i++) qn__loss_scale_update(&s, false);
    assert_true(s.scale == 32768);
}

static void never_below_one(void **state)
{
    (void)state;
    qn_loss_scale s = qn__loss_scale_start(QN_F16, 0);
    for (int i = 0; i < 16; i++) {
        assert_true(qn__loss_scale_can_fall(&s));
        qn__loss_scale_update(&s, true);
    }
    assert_true(s.scale == 1);
    assert_false(qn__loss_scale_can_fall(&s));
    qn__loss_scale_update(&s, true);
    assert_true(s.scale == 1);
}

static void fixed_or_absent(void **state)
{
    (void)state;
    qn_loss_scale bf16 = qn__loss_scale_start(QN_BF16, 0);
    qn_loss_scale f16 = qn__loss_scale_start(QN_F16, 1000);
    assert_true(bf16.scale == 1 && !bf16.dynamic);
    assert_true(f16.scale == 1024 && !f16.dynamic); /* a power of two */
    qn__loss_scale_update(&f16, true);
    assert_true(f16.scale == 1024);
    assert_false(qn__loss_scale_can_fall(&f16));
}

static void survives_a_checkpoint(void **state)
{
    (void)state;
    qn_loss_scale s = qn__loss_scale_start(QN_F16, 0), again = qn__loss_scale_start(QN_F16, 0);
    qn__loss_scale_update(&s, true);
    for (int i = 0; i < 7; i++) qn__loss_scale_update(&s, false);
    json_t *root = json_pack("{s:o}", "loss_scale", qn__loss_scale_to_json(&s));
    assert_int_equal(qn__loss_scale_from_json(&again, root, "test"), QN_OK);
    assert_true(again.scale == 32768 && again.clean == 7);
    json_decref(root);
    const double wrong[] = {0, -2, 3, 0.5, 1e300};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        root = json_pack("{s:{s:f,s:i}}", "loss_scale", "scale", wrong[i], "clean", 0);
        assert_int_equal(qn__loss_scale_from_json(&again, root, "test"), QN_BAD_DATA);
        json_decref(root);
    }
}

static void knows_its_words(void **state)
{
    (void)state;
    qn_dtype type;
    assert_int_equal(qn__precision("bf16", &type), QN_OK);
    assert_int_equal(type, QN_BF16);
    assert_int_equal(qn__precision("f16", &type), QN_OK);
    assert_int_equal(type, QN_F16);
    assert_int_equal(qn__precision("i32", &type), QN_BAD_ARGUMENT);
    assert_int_equal(qn__precision("", &type), QN_BAD_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_and_doubles), cmocka_unit_test(never_below_one),
        cmocka_unit_test(fixed_or_absent), cmocka_unit_test(survives_a_checkpoint),
        cmocka_unit_test(knows_its_words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
