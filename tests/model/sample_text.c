/* Text written while training: it changes no bit of the run, has no weights of its own, is what the
 * saved model writes, and a prompt that cannot be is refused before the first step. */
#include "model/trainer_run.h"

enum { STEPS = 12 };

typedef struct seen {
    double loss[STEPS], norm[STEPS], val[STEPS];
    char *sample[STEPS];
    uint64_t device_bytes;
} seen;

static bool look(void *user, const qn_step_info *info)
{
    seen *s = user;
    s->loss[info->step - 1] = info->loss;
    s->norm[info->step - 1] = info->grad_norm;
    s->val[info->step - 1] = info->val_loss;
    s->sample[info->step - 1] = info->sample ? strdup(info->sample) : NULL;
    s->device_bytes = info->device_bytes;
    return true;
}

static void forget(seen *s)
{
    for (int i = 0; i < STEPS; i++) free(s->sample[i]);
}

static qn_trainer *run(const tiny_run *r, const char *out, const char *const model[2],
                       const char *tokens, seen *s)
{
    const keys own = {{{"steps", "12"},
                       {"eval_every", "4"},
                       {"arch", model[0]},
                       {"precision", model[1]},
                       {"sample_tokens", tokens},
                       {"sample_prompt", "grain "},
                       {"sample_temperature", "0"}}};
    qn_trainer *t = trainer_make(r, out, &own);
    *s = (seen){0};
    assert_ok(qn_trainer_run(t, look, s));
    return t;
}

/* What a model loaded from the run's folder writes greedily. */
static char *write_again(const tiny_run *r, const char *out, const char *prompt, int tokens)
{
    qn_tokenizer *tokenizer;
    qn_model *model;
    qn_session *session;
    int32_t *ids, all[64];
    size_t count;
    char *text;
    assert_ok(qn_tokenizer_load(path_in(r->root, out), &tokenizer));
    assert_ok(qn_model_load(r->device, path_in(r->root, out), &model));
    assert_ok(qn_tokenizer_encode(tokenizer, prompt, strlen(prompt), 0, &ids, &count));
    memcpy(all, ids, count * sizeof *ids);
    free(ids);
    assert_ok(qn_session_create(model, NULL, &session));
    assert_ok(qn_session_feed(session, all, count));
    for (int i = 0; i < tokens; i++) {
        assert_ok(qn_session_sample(session, &all[count]));
        assert_ok(qn_session_feed(session, &all[count++], 1));
    }
    assert_ok(qn_tokenizer_decode(tokenizer, all, count, &text, &count));
    qn_session_destroy(&session);
    qn_model_destroy(&model);
    qn_tokenizer_destroy(&tokenizer);
    return text;
}

static void same_bits(void **state)
{
    (void)state;
    static const char *const models[][2] = {{"gpt2", "f32"}, {"llama", "f32"}, {"gpt2", "bf16"}};
    tiny_run r = run_make();
    for (int a = 0; a < 3; a++) {
        seen with, without;
        qn_trainer *one = run(&r, "with", models[a], "9", &with);
        qn_trainer *other = run(&r, "without", models[a], "0", &without);
        assert_memory_equal(with.loss, without.loss, sizeof with.loss);
        assert_memory_equal(with.norm, without.norm, sizeof with.norm);
        assert_same_state(one, other);
        for (int i = 0; i < STEPS; i++) {
            assert_int_equal(with.sample[i] != NULL, (i + 1) % 4 == 0);
            assert_int_equal(isfinite(with.val[i]), (i + 1) % 4 == 0);
            assert_null(without.sample[i]);
            if (!with.sample[i]) continue;
            assert_int_equal(strncmp(with.sample[i], "grain ", 6), 0);
            assert_int_equal(strlen(with.sample[i]), 6 + 9); /* a character a token */
            assert_true(with.val[i] == without.val[i]);
        }
        char *again = write_again(&r, "with", "grain ", 9);
        assert_string_equal(again, with.sample[STEPS - 1]);
        free(again);
        forget(&with);
        forget(&without);
        qn_trainer_destroy(&one);
        qn_trainer_destroy(&other);
    }
    run_drop(&r);
}

/* The cache and the rows of a session are all that samples add, and the plan has counted them. */
static void memory(void **state)
{
    (void)state;
    tiny_run r = run_make();
    seen s;
    qn_trainer *t = run(&r, "with", (const char *const[]){"gpt2", "f32"}, "9", &s);
    assert_true(s.device_bytes == qn__training_bytes(t->training));
    assert_ptr_equal(t->training->writer->store, t->training->store);
    forget(&s);
    qn_trainer_destroy(&t);
    run_drop(&r);
}

/* To the context's end and not beyond it; from nothing; with a seed the same text again. */
static void lengths(void **state)
{
    (void)state;
    const keys keys_of[] = {
        {{{"steps", "2"}, {"sample_tokens", "100"}, {"sample_prompt", "wind"}}},
        {{{"steps", "2"}, {"sample_tokens", "100"}, {"sample_prompt", "wind bread wind "}}},
        {{{"steps", "2"}, {"sample_tokens", "3"}, {"context", "1"}}},
        {{{"steps", "2"}, {"sample_tokens", "1"}, {"sample_prompt", ""}}},
    };
    static const size_t length[] = {4 + 13, 16 + 1, 1, 1}; /* a context of 16, and one token more */
    tiny_run r = run_make();
    for (int i = 0; i < 4; i++) {
        seen s[2] = {0};
        for (int k = 0; k < 2; k++) {
            qn_trainer *t = trainer_make(&r, "out", &keys_of[i]);
            assert_ok(qn_trainer_run(t, look, &s[k]));
            qn_trainer_destroy(&t);
        }
        assert_int_equal(strlen(s[0].sample[1]), length[i]);
        assert_string_equal(s[0].sample[1], s[1].sample[1]);
        forget(&s[0]);
        forget(&s[1]);
    }
    run_drop(&r);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *prompt, *says;
    } bad[] = {{"Mill?", "sample_prompt"}, {"wind wind wind wind", "19 tokens"}};
    tiny_run r = run_make();
    qn_train_options *o;
    assert_ok(qn_train_options_create(&o));
    assert_ok(qn_train_options_set(o, "text", path_in(r.root, "text.txt")));
    assert_ok(qn_train_options_set(o, "context", "16"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        qn_trainer *t;
        assert_ok(qn_train_options_set(o, "sample_prompt", bad[i].prompt));
        qn_status status = qn_trainer_create(o, r.device, NULL, NULL, &t);
        if (status != QN_BAD_ARGUMENT) fail_msg("%s: %s", bad[i].prompt, qn_status_name(status));
        assert_null(t);
        if (!strstr(qn_last_error(), bad[i].says)) fail_msg("%s", qn_last_error());
    }
    assert_int_equal(qn_train_options_set(o, "sample_prompt", "\xFF"), QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "UTF-8"));
    qn_train_options_destroy(&o);
    run_drop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits), cmocka_unit_test(memory),
                                       cmocka_unit_test(lengths), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
