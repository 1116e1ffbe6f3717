/* stories260K (a trained Llama-architecture model) against llama2.c's own numbers: logits within
 * 1e-4, mean loss 0.473418 within 1e-5, 200 greedy tokens, and the cache's logits bit for bit those
 * of the whole sequence. */
#include <quernel/model.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TOKENS = 201, ROWS = 64, VOCAB = 512 };

typedef struct fixture {
    qn_device *device;
    qn_model *model;
    int32_t tokens[TOKENS];
    float logits[ROWS * VOCAB];
} fixture;

static void must(qn_status status)
{
    if (status != QN_OK) fail_msg("%s: %s", qn_status_name(status), qn_last_error());
}

static char *path_of(const char *name)
{
    static char path[4096];
    const char *folder = getenv("QN_TEST_DATA");
    snprintf(path, sizeof path, "%s/%s", folder && *folder ? folder : QN_TEST_DATA_DEFAULT, name);
    return path;
}

static bool load(const char *name, void *to, size_t bytes)
{
    FILE *file = fopen(path_of(name), "rb");
    if (!file) return false;
    bool whole = fread(to, 1, bytes, file) == bytes;
    fclose(file);
    return whole;
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    *state = f;
    if (!f || !load("stories260K_tokens_i32.bin", f->tokens, sizeof f->tokens) ||
        !load("stories260K_logits_f32.bin", f->logits, sizeof f->logits)) {
        print_message("stories260K is not at %s (set QN_TEST_DATA): skipped\n", path_of(""));
        return 0;
    }
    must(qn_device_open(NULL, &f->device));
    must(qn_model_load(f->device, path_of("stories260K.bin"), &f->model));
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    qn_model_destroy(&f->model);
    qn_device_close(&f->device);
    free(f);
    return 0;
}

static void same_logits(void **state)
{
    fixture *f = *state;
    if (!f->model) skip();
    float *got = malloc(sizeof f->logits);
    double worst = 0;
    must(qn_model_logits(f->model, f->tokens, ROWS, got));
    for (int i = 0; i < ROWS * VOCAB; i++) {
        double error = fabs((double)got[i] - (double)f->logits[i]);
        if (!(error <= worst)) worst = error;
    }
    print_message("largest difference of a logit: %.3g\n", worst);
    assert_true(worst <= 1e-4);
    free(got);
}

static void same_loss(void **state)
{
    fixture *f = *state;
    qn_loss loss;
    if (!f->model) skip();
    must(qn_model_loss(f->model, f->tokens, TOKENS, 1, NULL, NULL, &loss));
    double mean = loss.nll / (double)loss.predicted;
    print_message("mean loss %.6f over %lld tokens\n", mean, (long long)loss.predicted);
    assert_int_equal(loss.predicted, 200);
    assert_true(fabs(mean - 0.473418) <= 1e-5);
}

static void same_greedy(void **state)
{
    fixture *f = *state;
    qn_session *session;
    int32_t id;
    if (!f->model) skip();
    must(qn_session_create(f->model, NULL, &session));
    id = f->tokens[0];
    for (int i = 1; i < TOKENS; i++) {
        must(qn_session_feed(session, &id, 1));
        must(qn_session_sample(session, &id));
        assert_int_equal(id, f->tokens[i]);
    }
    qn_session_destroy(&session);
}

/* One token at a time, in pieces of 7, and all at once: the same bits. */
static void cache_changes_no_bit(void **state)
{
    fixture *f = *state;
    qn_session *session;
    const float *logits;
    if (!f->model) skip();
    float *all = malloc(150 * VOCAB * sizeof *all);
    must(qn_model_logits(f->model, f->tokens, 150, all));
    must(qn_session_create(f->model, NULL, &session));
    for (size_t piece = 1; piece <= 150; piece = piece == 1 ? 7 : piece == 7 ? 150 : 151) {
        qn_session_reset(session);
        for (size_t at = 0; at < 150; at += piece) {
            size_t count = 150 - at < piece ? 150 - at : piece;
            must(qn_session_feed(session, f->tokens + at, count));
            must(qn_session_logits(session, &logits));
            assert_memory_equal(logits, all + (at + count - 1) * VOCAB, VOCAB * sizeof *all);
        }
    }
    qn_session_destroy(&session);
    free(all);
}

static void bad_tokens_are_refused(void **state)
{
    fixture *f = *state;
    qn_session *session;
    const int32_t bad[2] = {1, VOCAB};
    if (!f->model) skip();
    must(qn_session_create(f->model, NULL, &session));
    assert_int_equal(qn_session_feed(session, bad, 2), QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "512"));
    qn_session_destroy(&session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_logits), cmocka_unit_test(same_loss), cmocka_unit_test(same_greedy),
        cmocka_unit_test(cache_changes_no_bit), cmocka_unit_test(bad_tokens_are_refused)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
