/* Perplexity and divergence by chunks, against the model's own logits worked out once more in
 * doubles; and a model quantized to 8 bits is nearer to itself than one in 4. */
#include <quernel/evaluate.h>
#include <quernel/quantize.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { TOKENS = 201, CONTEXT = 48, CHUNKS = TOKENS / CONTEXT, VOCAB = 512 };

typedef struct fixture {
    qn_device *device;
    qn_model *model;
    int32_t tokens[TOKENS];
} fixture;

static void must(qn_status status)
{
    if (status != QN_OK) fail_msg("%s: %s", qn_status_name(status), qn_last_error());
}

static const char *path_of(const char *name)
{
    static char path[4096];
    const char *folder = getenv("QN_TEST_DATA");
    snprintf(path, sizeof path, "%s/%s", folder && *folder ? folder : QN_TEST_DATA_DEFAULT, name);
    return path;
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    *state = f;
    FILE *file = fopen(path_of("stories260K_tokens_i32.bin"), "rb");
    bool there = file && fread(f->tokens, 1, sizeof f->tokens, file) == sizeof f->tokens;
    if (file) fclose(file);
    if (!there) {
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

static qn_chunks chunks_of(const fixture *f)
{
    return (qn_chunks){.size = sizeof(qn_chunks),
                       .context = CONTEXT,
                       .tokens = f->tokens,
                       .count = TOKENS,
                       .bos = true};
}

static bool count_calls(void *user, int64_t done, int64_t total)
{
    assert_int_equal(done, ++*(int *)user);
    assert_int_equal(total, CHUNKS);
    return done < 3 || total > 3;
}

static void second_halves_are_scored(void **state)
{
    fixture *f = *state;
    if (!f->model) skip();
    double sum = 0, squares = 0;
    int count = 0, calls = 0;
    float *logits = malloc(CONTEXT * VOCAB * sizeof *logits);
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        int32_t ids[CONTEXT];
        memcpy(ids, f->tokens + chunk * CONTEXT, sizeof ids);
        ids[0] = 1;
        must(qn_model_logits(f->model, ids, CONTEXT, logits));
        for (int to = CONTEXT / 2 + 1; to < CONTEXT; to++) {
            const float *row = logits + (to - 1) * VOCAB;
            double all = 0;
            for (int v = 0; v < VOCAB; v++) all += exp((double)row[v]);
            double nll = log(all) - (double)row[ids[to]];
            sum += nll;
            squares += nll * nll;
            count++;
        }
    }
    free(logits);
    const double mean = sum / count;
    const double error = sqrt((squares / count - mean * mean) / (count - 1));
    qn_chunks chunks = chunks_of(f);
    qn_perplexity found = {.size = sizeof found};
    must(qn_model_perplexity(f->model, &chunks, count_calls, &calls, &found));
    assert_int_equal(calls, CHUNKS);
    assert_int_equal(found.chunks, CHUNKS);
    assert_int_equal(found.predicted, count);
    assert_int_equal(count, CHUNKS * (CONTEXT - 1 - CONTEXT / 2));
    assert_true(fabs(found.nll - mean) < 1e-9 && fabs(found.nll_error - error) < 1e-9);
    assert_true(fabs(found.perplexity - exp(mean)) < 1e-8);
}

static void divergence_from(const fixture *f, const char *type, qn_divergence *found)
{
    char path[] = "/tmp/qn-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    const qn_quantize_options options = {.size = sizeof options, .type = type};
    const qn_chunks chunks = chunks_of(f);
    qn_model *small = NULL;
    must(qn_model_quantize(path_of("stories260K.bin"), path, &options, NULL, NULL, NULL));
    must(qn_model_load(f->device, path, &small));
    found->size = sizeof *found;
    must(qn_model_divergence(small, f->model, &chunks, NULL, NULL, found));
    qn_model_destroy(&small);
    unlink(path);
}

static void fewer_bits_are_further(void **state)
{
    fixture *f = *state;
    if (!f->model) skip();
    qn_divergence same = {.size = sizeof same}, eight, four;
    const qn_chunks chunks = chunks_of(f);
    must(qn_model_divergence(f->model, f->model, &chunks, NULL, NULL, &same));
    assert_true(same.mean == 0 && same.most == 0 && same.top == 1);
    assert_true(same.model.nll == same.reference.nll);
    divergence_from(f, "Q8_0", &eight);
    divergence_from(f, "Q4_0", &four);
    print_message("KL of q8_0 %.2e, of q4_0 %.2e; perplexity %.4f, %.4f, %.4f\n", eight.mean,
                  four.mean, same.model.perplexity, eight.model.perplexity, four.model.perplexity);
    assert_true(eight.mean > 0 && eight.mean < 2e-3 && eight.top > 0.9);
    assert_true(four.mean > 10 * eight.mean && four.mean < 0.5);
    const qn_divergence *both[] = {&eight, &four};
    for (int i = 0; i < 2; i++) {
        const qn_divergence *d = both[i];
        assert_true(d->median <= d->percent_99 && d->percent_99 <= d->percent_999);
        assert_true(d->percent_999 <= d->most && d->mean < d->most && d->mean_error > 0);
        assert_true(fabs(d->reference.nll - same.model.nll) < 1e-12);
    }
}

static void what_cannot_be(void **state)
{
    fixture *f = *state;
    if (!f->model) skip();
    qn_perplexity found = {.size = sizeof found};
    qn_chunks chunks = chunks_of(f);
    chunks.context = 3;
    assert_int_equal(qn_model_perplexity(f->model, &chunks, NULL, NULL, &found), QN_BAD_ARGUMENT);
    chunks.context = 513;
    assert_int_equal(qn_model_perplexity(f->model, &chunks, NULL, NULL, &found), QN_BAD_ARGUMENT);
    chunks.context = TOKENS + 1;
    assert_int_equal(qn_model_perplexity(f->model, &chunks, NULL, NULL, &found), QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "201"));
    const char *tiny = path_of("llama-2-tiny-random.gguf");
    qn_model *other = NULL;
    if (access(tiny, R_OK) != 0) return;
    must(qn_model_load(f->device, tiny, &other));
    qn_divergence divergence = {.size = sizeof divergence};
    chunks = chunks_of(f);
    assert_int_equal(qn_model_divergence(f->model, other, &chunks, NULL, NULL, &divergence),
                     QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "32000"));
    qn_model_destroy(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_halves_are_scored),
        cmocka_unit_test(fewer_bits_are_further),
        cmocka_unit_test(what_cannot_be),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
