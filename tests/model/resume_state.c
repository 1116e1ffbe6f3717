/* What a checkpoint gives back, item by item: weights, moments, random numbers, data position, sum
 * orders, loss scale, outlier windows, what was best. */
#include "model/trainer_run.h"

#include "file/checkpoint.h"

#include <quernel/log.h>

static char warned[1024];

static void note_warning(void *user, qn_log_level level, const char *line)
{
    (void)user;
    if (level == QN_LOG_WARN) snprintf(warned, sizeof warned, "%s", line);
}

typedef struct pair {
    tiny_run run;
    qn_trainer *alone, *resumed; /* the same 9 steps; the second was saved and made again */
} pair;

static const keys usual = {.row = {{"eval_every", "3"}, {"skip_loss_z", "6"}}};
static const keys again = {.row = {{"eval_every", "3"}, {"skip_loss_z", "6"}, {"resume", "true"}}};

static bool until_9(void *user, const qn_step_info *info)
{
    (void)user;
    return info->step < 9;
}

static int set_up(void **state)
{
    pair *p = calloc(1, sizeof *p);
    p->run = run_make();
    p->alone = trainer_make(&p->run, "alone", &usual);
    assert_int_equal(qn_trainer_run(p->alone, until_9, NULL), QN_INTERRUPTED);
    qn_trainer *saved = trainer_make(&p->run, "saved", &usual);
    assert_int_equal(qn_trainer_run(saved, until_9, NULL), QN_INTERRUPTED);
    qn_trainer_destroy(&saved);
    p->resumed = trainer_make(&p->run, "saved", &again);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    pair *p = *state;
    qn_trainer_destroy(&p->alone);
    qn_trainer_destroy(&p->resumed);
    run_drop(&p->run);
    free(p);
    return 0;
}

static void weights_and_moments(void **state)
{
    const pair *p = *state;
    bytes moments = state_bytes(p->resumed, true), zeros = {0};
    put_zeros(&zeros, moments.count);
    assert_true(memcmp(moments.data, zeros.data, zeros.count) != 0);
    free(moments.data);
    free(zeros.data);
    assert_same_state(p->alone, p->resumed);
}

static void counters(void **state)
{
    const pair *p = *state;
    const qn_trainer *a = p->alone, *b = p->resumed;
    assert_int_equal(b->step, 9);
    assert_int_equal(b->updates, a->updates);
    assert_true(isfinite(b->best_val) && b->best_val == a->best_val);
    assert_true(b->val_loss == a->val_loss);
    assert_int_equal(b->skips.in_a_row, a->skips.in_a_row);
    assert_int_equal(b->skips.loss.count, 9);
    assert_memory_equal(&b->skips.loss, &a->skips.loss, sizeof a->skips.loss);
    assert_memory_equal(&b->skips.norm, &a->skips.norm, sizeof a->skips.norm);
}

/* The next step: the same tokens, dropout masks, learning rate and sums, hence the same bits. */
static void next_step(void **state)
{
    const pair *p = *state;
    qn_step_info a = {.size = sizeof a}, b = a;
    assert_ok(qn_trainer_step(p->alone, &a));
    assert_ok(qn_trainer_step(p->resumed, &b));
    const qn_training *x = p->alone->training, *y = p->resumed->training;
    assert_memory_equal(p->alone->ids, p->resumed->ids, (size_t)x->rows * sizeof(int32_t));
    assert_int_equal(x->leaves, 4);
    assert_memory_equal(x->rng_host[1 - x->turn], y->rng_host[1 - y->turn],
                        (size_t)x->leaves * 4 * sizeof(int32_t));
    assert_true(a.lr == b.lr && a.step == b.step && a.steps == b.steps);
    assert_true(a.loss == b.loss && a.grad_norm == b.grad_norm);
    assert_same_state(p->alone, p->resumed);
}

static json_t *saved_state(const pair *p)
{
    qn_checkpoint *checkpoint;
    assert_ok(qn__checkpoint_open_newest(path_in(p->run.root, "saved"), true, &checkpoint));
    json_t *state = json_deep_copy(qn__checkpoint_state(checkpoint));
    qn__checkpoint_close(&checkpoint);
    return state;
}

static void sum_orders(void **state)
{
    const pair *p = *state;
    json_t *saved = saved_state(p), *orders = json_object_get(saved, "sum_orders");
    assert_string_equal(json_string_value(json_object_get(orders, "matmul")), "chain");
    assert_string_equal(json_string_value(json_object_get(orders, "adamw")), "exact");
    assert_non_null(json_object_get(orders, "sum_squares"));
    assert_true(qn__trainer_same_orders(p->resumed, saved));
    json_object_set_new(orders, "matmul", json_string("mma"));
    qn_log_set(note_warning, NULL, QN_LOG_WARN);
    assert_false(qn__trainer_same_orders(p->resumed, saved));
    qn_log_set(NULL, NULL, QN_LOG_WARN);
    assert_non_null(strstr(warned, "matmul added in order mma"));
    json_decref(saved);
}

/* The loss scale of f16 after an overflow, and its count of clean steps. */
static void loss_scale(void **state)
{
    const pair *p = *state;
    const keys f16 = {.row = {{"precision", "f16"}}},
               on = {.row = {{"precision", "f16"}, {"resume", "true"}}};
    qn_step_info a = {.size = sizeof a}, b = a;
    qn_trainer *one = trainer_make(&p->run, "f16", &f16), *other;
    assert_true(one->loss_scale.scale == 65536);
    one->loss_scale.scale = 0x1p100; /* as if it had grown that far */
    assert_ok(qn_trainer_step(one, &a));
    assert_non_null(a.skipped);
    assert_int_equal(one->updates, 0);
    assert_true(one->loss_scale.scale == 0x1p99);
    one->loss_scale.scale = 1024;
    assert_ok(qn_trainer_step(one, &a));
    assert_int_equal(one->updates, 1);
    assert_ok(qn_trainer_save(one));
    other = trainer_make(&p->run, "f16", &on);
    assert_true(other->loss_scale.scale == 1024 && other->loss_scale.clean == 1);
    assert_int_equal(other->updates, 1);
    assert_ok(qn_trainer_step(one, &a));
    assert_ok(qn_trainer_step(other, &b));
    assert_true(a.loss == b.loss && a.grad_norm == b.grad_norm && a.loss_scale == b.loss_scale);
    assert_same_state(one, other);
    qn_trainer_destroy(&one);
    qn_trainer_destroy(&other);
}

/* Another split of the batch adds in another order: allowed, and said. */
static void other_micro_batch(void **state)
{
    const pair *p = *state;
    keys other = again;
    other.row[3][0] = "micro_batch";
    other.row[3][1] = "4";
    qn_log_set(note_warning, NULL, QN_LOG_WARN);
    qn_trainer *t = trainer_make(&p->run, "saved", &other);
    qn_log_set(NULL, NULL, QN_LOG_WARN);
    assert_non_null(strstr(warned, "micro-batch was 2 and is now 4"));
    qn_trainer_destroy(&t);
}

/* A run that would be another one is refused, with the key. */
static void other_run(void **state)
{
    const pair *p = *state;
    static const char *const changed[][2] = {{"seed", "7"}, {"batch", "4"}, {"dropout", "0.2"}};
    for (size_t i = 0; i < sizeof changed / sizeof changed[0]; i++) {
        qn_train_options *o;
        qn_trainer *t;
        assert_ok(qn__train_options_copy(p->resumed->options, &o));
        assert_ok(qn_train_options_set(o, changed[i][0], changed[i][1]));
        assert_int_equal(qn_trainer_create(o, p->run.device, NULL, NULL, &t), QN_BAD_ARGUMENT);
        assert_non_null(strstr(qn_last_error(), changed[i][0]));
        qn_train_options_destroy(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(weights_and_moments),
                                       cmocka_unit_test(counters),
                                       cmocka_unit_test(next_step),
                                       cmocka_unit_test(sum_orders),
                                       cmocka_unit_test(loss_scale),
                                       cmocka_unit_test(other_micro_batch),
                                       cmocka_unit_test(other_run)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
