/* Ways to save memory change no bit: a few steps with each, against the same steps without, in
 * losses, norms, weights and moments; and what was planned is what is allocated. */
#include "model/trainer_run.h"

enum { STEPS = 4 };

typedef struct outcome {
    double loss[STEPS], norm[STEPS], val;
    bytes weights, moments;
    uint64_t used;
} outcome;

static outcome run_with(const tiny_run *run, const keys *base, const keys *own)
{
    outcome o = {0};
    keys all = *base;
    int at = 0;
    while (all.row[at][0]) at++;
    for (int i = 0; own && own->row[i][0]; i++, at++)
        for (int k = 0; k < 2; k++) all.row[at][k] = own->row[i][k];
    qn_trainer *t = trainer_make(run, "out", &all);
    qn_device_memory(run->device, &o.used, NULL);
    assert_int_equal(o.used, qn__training_bytes(t->training));
    for (int i = 0; i < STEPS; i++) {
        qn_step_info info = {.size = sizeof info};
        assert_ok(qn_trainer_step(t, &info));
        o.loss[i] = info.loss;
        o.norm[i] = info.grad_norm;
    }
    assert_ok(qn_trainer_validate(t, &o.val));
    uint64_t now;
    qn_device_memory(run->device, &now, NULL);
    assert_int_equal(now, o.used);
    o.weights = state_bytes(t, false);
    o.moments = state_bytes(t, true);
    qn_trainer_destroy(&t);
    return o;
}

static bool same_bytes(bytes a, bytes b)
{
    return a.count == b.count && memcmp(a.data, b.data, a.count) == 0;
}

static void check(const outcome *want, const outcome *got, const char *what)
{
    for (int i = 0; i < STEPS; i++)
        if (got->loss[i] != want->loss[i] || got->norm[i] != want->norm[i])
            fail_msg("%s, step %d: loss %.17g norm %.17g, not %.17g %.17g", what, i, got->loss[i],
                     got->norm[i], want->loss[i], want->norm[i]);
    if (got->val != want->val)
        fail_msg("%s: validation %.17g, not %.17g", what, got->val, want->val);
    if (!same_bytes(got->weights, want->weights)) fail_msg("%s: other weights", what);
    if (!same_bytes(got->moments, want->moments)) fail_msg("%s: other moments", what);
}

static void drop(outcome *o)
{
    free(o->weights.data);
    free(o->moments.data);
}

#define BASE "base" /* a model made in the run's folder */

/* 256 tokens: logits are the largest activation. Micro-batches that add to older gradients have
 * more rows than the model is wide: with the head in parts its gradient lies in activations for a
 * while.
 */
static const keys bases[] = {
    {.row = {{"arch", "gpt2"}, {"tokenizer", "bytes"}, {"context", "64"}}},
    {.row = {{"arch", "gpt2"},
             {"tokenizer", "bytes"},
             {"dropout", "0"},
             {"micro_batch", "8"},
             {"no_bias", "true"}}},
    {.row =
         {{"arch", "gpt2"}, {"tokenizer", "bytes"}, {"precision", "bf16"}, {"micro_batch", "8"}}},
    {.row = {{"arch", "llama"},
             {"tokenizer", "bytes"},
             {"precision", "f16"},
             {"dropout", "0"},
             {"micro_batch", "8"}}},
    {.row = {{"arch", "llama"},
             {"tokenizer", "bytes"},
             {"untied", "true"},
             {"dropout", "0"},
             {"context", "64"}}},
    {.row = {{"arch", "llama"},
             {"tokenizer", "bytes"},
             {"heads", "4"},
             {"kv_heads", "2"},
             {"context", "64"},
             {"micro_batch", "1"}}},
    {.row = {{"model", BASE}, {"tokenizer", BASE}, {"lora_rank", "4"}, {"lora_dropout", "0.1"}}},
};

enum { BASES = sizeof bases / sizeof bases[0] };

/* A model to be adapted, where the base needs one; *base then says where it is. */
static void make_model(const tiny_run *run, keys *base)
{
    static char path[4096];
    if (strcmp(base->row[0][1], BASE) != 0) return;
    const keys model = {.row = {{"arch", "llama"}, {"tokenizer", "bytes"}}};
    qn_trainer *t = trainer_make(run, BASE, &model);
    assert_ok(qn_trainer_save(t));
    qn_trainer_destroy(&t);
    snprintf(path, sizeof path, "%s", path_in(run->root, BASE));
    base->row[0][1] = base->row[1][1] = path;
}

/* Each base with each way; the first `less` ways must take less memory than without. */
static void check_ways(const keys *ways, int count, int less)
{
    for (int b = 0; b < BASES; b++) {
        tiny_run run = run_make();
        keys base = bases[b];
        make_model(&run, &base);
        outcome want = run_with(&run, &base, NULL);
        for (int w = 0; w < count; w++) {
            char what[128];
            snprintf(what, sizeof what, "base %d, %s=%s", b, ways[w].row[0][0], ways[w].row[0][1]);
            outcome got = run_with(&run, &base, &ways[w]);
            check(&want, &got, what);
            print_message("%-28s %8llu bytes, %8llu without\n", what, (unsigned long long)got.used,
                          (unsigned long long)want.used);
            if (w < less && got.used >= want.used) fail_msg("%s takes no less memory", what);
            drop(&got);
        }
        drop(&want);
        run_drop(&run);
    }
}

/* Rows a leaf: 32, 128, 32, 16. Chunks that divide them and that do not, of one row, and all. */
static void head_in_chunks(void **state)
{
    (void)state;
    const keys ways[] = {{.row = {{"head_chunk", "7"}}},
                         {.row = {{"head_chunk", "1"}}},
                         {.row = {{"head_chunk", "16"}}},
                         {.row = {{"head_chunk", "0"}}}};
    check_ways(ways, 4, 2);
}

static void recompute(void **state)
{
    (void)state;
    const keys ways[] = {{.row = {{"recompute", "cheap"}}},
                         {.row = {{"recompute", "block"}}},
                         {.row = {{"recompute", "block"}, {"head_chunk", "7"}}},
                         {.row = {{"recompute", "cheap"}, {"head_chunk", "16"}}}};
    check_ways(ways, 4, 4);
}

static void offload(void **state)
{
    (void)state;
    const keys ways[] = {
        {.row = {{"offload", "optimizer"}}},
        {.row = {{"offload", "optimizer"}, {"recompute", "block"}, {"head_chunk", "7"}}}};
    check_ways(ways, 2, 2);
}

/* Any of them may come and go at a resume. */
static void across_resumes(void **state)
{
    (void)state;
    const keys ways[] = {
        {.row = {{"offload", "optimizer"}}},
        {.row = {{"resume", "true"}}},
        {.row = {{"resume", "true"}, {"offload", "optimizer"}, {"recompute", "block"}}},
        {.row = {{"resume", "true"}, {"recompute", "cheap"}, {"head_chunk", "5"}}}};
    tiny_run run = run_make();
    qn_trainer *alone = trainer_make(&run, "alone", NULL), *t = NULL;
    for (int w = 0; w < 4; w++) {
        t = trainer_make(&run, "pieces", &ways[w]);
        assert_int_equal(t->step, w * 2);
        for (int i = 0; i < 2; i++) {
            qn_step_info a = {.size = sizeof a}, b = a;
            assert_ok(qn_trainer_step(alone, &a));
            assert_ok(qn_trainer_step(t, &b));
            assert_true(a.loss == b.loss && a.grad_norm == b.grad_norm);
        }
        assert_ok(qn_trainer_save(t));
        assert_same_state(alone, t);
        qn_trainer_destroy(&t);
    }
    qn_trainer_destroy(&alone);
    run_drop(&run);
}

static void unknown_words(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"offload", "weights"}, {"recompute", "all"}, {"head_chunk", "-3"}, {"head_chunk", "x"}};
    tiny_run run = run_make();
    for (int i = 0; i < 4; i++) {
        qn_train_options *o;
        qn_trainer *t;
        assert_ok(qn_train_options_create(&o));
        assert_ok(qn_train_options_set(o, "text", path_in(run.root, "text.txt")));
        assert_ok(qn_train_options_set(o, wrong[i][0], wrong[i][1]));
        assert_int_equal(qn_trainer_create(o, run.device, NULL, NULL, &t), QN_BAD_ARGUMENT);
        assert_non_null(strstr(qn_last_error(), wrong[i][0]));
        assert_non_null(strstr(qn_last_error(), wrong[i][1]));
        qn_train_options_destroy(&o);
    }
    run_drop(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(offload), cmocka_unit_test(across_resumes),
                                       cmocka_unit_test(unknown_words),
                                       cmocka_unit_test(head_in_chunks),
                                       cmocka_unit_test(recompute)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
