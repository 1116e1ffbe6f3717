/* Rows fed together, cut back and fed again have the bits of tokens fed one by one; a generator
 * that guesses makes the tokens of one that does not. */
#include <quernel/generate.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VOCAB = 512, LENGTH = 120 };

typedef struct fixture {
    qn_device *device;
    qn_model *model, *draft;
} fixture;

static void must(qn_status status)
{
    if (status != QN_OK) fail_msg("%s: %s", qn_status_name(status), qn_last_error());
}

static const char *model_path(void)
{
    static char path[4096];
    const char *folder = getenv("QN_TEST_DATA");
    snprintf(path, sizeof path, "%s/stories260K.bin",
             folder && *folder ? folder : QN_TEST_DATA_DEFAULT);
    return path;
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    const char *path = model_path();
    *state = f;
    FILE *file = fopen(path, "rb");
    if (!file) {
        print_message("%s is not there: skipped\n", path);
        return 0;
    }
    fclose(file);
    must(qn_device_open(NULL, &f->device));
    must(qn_model_load(f->device, path, &f->model));
    must(qn_model_load(f->device, path, &f->draft));
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    qn_model_destroy(&f->model);
    qn_model_destroy(&f->draft);
    qn_device_close(&f->device);
    free(f);
    return 0;
}

static void rows_have_the_bits_of_single_tokens(void **state)
{
    fixture *f = *state;
    static float one[64][VOCAB];
    int32_t tokens[64];
    const float *logits;
    qn_session *session;
    if (!f->model) skip();
    must(qn_session_create(f->model, NULL, &session));
    tokens[0] = 1;
    for (int i = 0; i < 64; i++) {
        if (i) must(qn_session_sample(session, &tokens[i]));
        must(qn_session_feed(session, &tokens[i], 1));
        must(qn_session_logits(session, &logits));
        memcpy(one[i], logits, sizeof one[i]);
    }
    for (int begin = 0; begin < 40; begin += 7)
        for (int count = 1; count <= 24; count += 5) {
            must(qn_session_rewind(session, begin));
            if (begin > 0) assert_int_equal(qn_session_logits(session, &logits), QN_BAD_ARGUMENT);
            must(qn_session_feed_rows(session, tokens + begin, (size_t)count, &logits));
            assert_memory_equal(logits, one[begin], (size_t)count * sizeof one[0]);
            must(qn_session_feed_rows(session, tokens + begin + count, 0 + 1, &logits));
            assert_memory_equal(logits, one[begin + count], sizeof one[0]);
        }
    assert_int_equal(qn_session_rewind(session, 65), QN_BAD_ARGUMENT);
    assert_int_equal(qn_session_feed_rows(session, tokens, 33, &logits), QN_BAD_ARGUMENT);
    qn_session_destroy(&session);
}

static qn_generator_stats make(fixture *f, const qn_generator_options *options, int32_t *tokens)
{
    const int32_t prompt[] = {1, 403};
    qn_generator *generator;
    must(qn_generator_create(f->model, options, &generator));
    must(qn_generator_feed(generator, prompt, 1));
    must(qn_generator_feed(generator, prompt + 1, 1));
    for (int i = 0; i < LENGTH; i++) {
        if (i == 50) must(qn_generator_feed(generator, prompt + 1, 1)); /* amid the text */
        must(qn_generator_next(generator, &tokens[i]));
        assert_int_equal(qn_generator_length(generator), i + 3 + (i >= 50));
    }
    qn_generator_stats stats = qn_generator_get_stats(generator);
    qn_generator_destroy(&generator);
    return stats;
}

static void guesses_change_no_token(void **state)
{
    fixture *f = *state;
    int32_t want[LENGTH], got[LENGTH];
    if (!f->model) skip();
    for (int warm = 0; warm < 2; warm++) {
        qn_sampler_options sampler;
        qn_sampler_options_init(&sampler);
        sampler.temperature = warm;
        sampler.repeat_penalty = 1.1;
        qn_generator_options options = {.size = sizeof options, .sampler = &sampler};
        qn_generator_stats stats = make(f, &options, want);
        assert_int_equal(stats.tokens, LENGTH);
        assert_int_equal(stats.drafted, 0);
        for (int kind = 0; kind < 3; kind++) {
            options.lookup = kind == 1 ? 0 : 2;
            options.draft = kind ? f->draft : NULL;
            options.draft_tokens = kind + 3;
            stats = make(f, &options, got);
            print_message("%lld guessed, %lld right, %lld feeds\n", (long long)stats.drafted,
                          (long long)stats.accepted, (long long)stats.feeds);
            assert_memory_equal(got, want, sizeof want);
            assert_true(stats.drafted > 0 && stats.accepted <= stats.drafted);
        }
    }
    qn_generator_options options = {.size = sizeof options, .draft = f->model};
    qn_generator *generator;
    assert_int_equal(qn_generator_create(f->model, &options, &generator), QN_BAD_ARGUMENT);
}

/* Far beyond a context of 64; with guesses the same tokens. */
static void shifting_goes_on(void **state)
{
    fixture *f = *state;
    int32_t want[LENGTH], got[LENGTH];
    const qn_model_options small = {.size = sizeof small, .context = 64};
    qn_model *model;
    if (!f->model) skip();
    must(qn_model_open(f->device, model_path(), &small, &model));
    qn_generator_options options = {.size = sizeof options, .shift = true, .keep = 2};
    for (int lookup = 0; lookup < 3; lookup += 2) {
        const int32_t prompt[] = {1, 403};
        qn_generator *generator;
        options.lookup = lookup;
        must(qn_generator_create(model, &options, &generator));
        must(qn_generator_feed(generator, prompt, 2));
        for (int i = 0; i < LENGTH; i++) {
            must(qn_generator_next(generator, lookup ? &got[i] : &want[i]));
            assert_true(qn_generator_length(generator) <= 65);
        }
        assert_true(qn_generator_get_stats(generator).dropped >= LENGTH + 2 - 65);
        assert_int_equal(qn_generator_get_stats(generator).dropped + qn_generator_length(generator),
                         LENGTH + 2);
        qn_generator_destroy(&generator);
    }
    assert_memory_equal(got, want, sizeof want);
    options.shift = false;
    qn_generator *generator;
    must(qn_generator_create(model, &options, &generator));
    must(qn_generator_feed(generator, want, 64));
    must(qn_generator_next(generator, got));
    assert_int_equal(qn_generator_next(generator, got), QN_BAD_ARGUMENT);
    qn_generator_destroy(&generator);
    options.shift = true;
    options.keep = 63;
    assert_int_equal(qn_generator_create(model, &options, &generator), QN_BAD_ARGUMENT);
    qn_model_destroy(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_have_the_bits_of_single_tokens),
        cmocka_unit_test(guesses_change_no_token),
        cmocka_unit_test(shifting_goes_on),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
