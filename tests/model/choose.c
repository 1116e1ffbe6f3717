/* Multiple choice: every ending's loss is what the model's logits say in double precision, for
 * sequences by themselves; many at once change no bit; choices, scores, shortening and mistakes. */
#include "unit/file_support.h"

#include "file/choices.h"
#include "model/model.h"
#include "model/scaled_weights.h"

#include <math.h>

enum { CONTEXT = 24, VOCAB = 61, QUESTIONS = 9, ENDINGS = 3 };

static qn_model *model_make(qn_device *device, qn_arch arch)
{
    qn_model_config c;
    qn_model *model;
    assert_ok(qn_model_config_named(arch, NULL, &c));
    c.vocab = VOCAB;
    c.context = CONTEXT;
    c.layers = 2;
    c.embed = 32;
    c.ffn = 64;
    if (arch == QN_MISTRAL) {
        c.kv_heads = 2;
        c.window = 5;
    }
    assert_ok(qn__model_create(device, &c, &model));
    assert_ok(qn__weights_init(model->store, &c, 3));
    weights_scale(model, 8);
    return model;
}

/* Contexts of 1 to 17 tokens, endings of 1 to 5. */
static qn_choices *questions_make(void)
{
    qn_choices *c;
    int32_t tokens[32];
    uint32_t random = 5;
    assert_ok(qn__choices_create(&c));
    for (int q = 0; q < QUESTIONS; q++) {
        assert_ok(qn__choices_add(c, q % ENDINGS, ENDINGS));
        for (int e = 0; e <= ENDINGS; e++) {
            size_t count = e == 0 ? 1 + (size_t)q * 2 : 1 + (size_t)(q + 2 * e) % 5;
            for (size_t i = 0; i < count; i++) {
                random = random * 1664525u + 1013904223u;
                tokens[i] = (int32_t)(random >> 8) % VOCAB;
            }
            assert_ok(qn__choices_add_span(c, tokens, count));
        }
    }
    return c;
}

/* From the logits of one sequence, in doubles. */
static double nll_alone(qn_model *model, const qn_choices *c, size_t context, size_t ending)
{
    int32_t ids[128];
    float *logits = malloc(CONTEXT * VOCAB * sizeof *logits);
    size_t a = (size_t)c->spans[context].count, b = (size_t)c->spans[ending].count;
    memcpy(ids, c->tokens + c->spans[context].first, a * sizeof *ids);
    memcpy(ids + a, c->tokens + c->spans[ending].first, b * sizeof *ids);
    size_t cut = a + b - 1 > CONTEXT ? a + b - 1 - CONTEXT : 0, rows = a + b - 1 - cut;
    assert_ok(qn_model_logits(model, ids + cut, rows, logits));
    double nll = 0;
    for (size_t r = rows - b; r < rows; r++) {
        double sum = 0;
        for (int v = 0; v < VOCAB; v++) sum += exp((double)logits[r * VOCAB + (size_t)v]);
        nll += log(sum) - (double)logits[r * VOCAB + (size_t)ids[cut + r + 1]];
    }
    free(logits);
    return nll;
}

typedef struct sheet {
    double nll[QUESTIONS][ENDINGS];
    int32_t by_sum[QUESTIONS], by_mean[QUESTIONS];
    int64_t next, stop;
} sheet;

static bool note(void *user, const qn_answer *answer)
{
    sheet *s = user;
    assert_int_equal(answer->size, sizeof *answer);
    assert_int_equal(answer->index, s->next);
    assert_int_equal(answer->endings, ENDINGS);
    assert_int_equal(answer->label, s->next % ENDINGS);
    memcpy(s->nll[s->next], answer->nll, sizeof s->nll[0]);
    s->by_sum[s->next] = answer->by_sum;
    s->by_mean[s->next] = answer->by_mean;
    return ++s->next != s->stop;
}

static qn_choose_scores choose(qn_model *model, const qn_choices *c, int batch, sheet *s)
{
    qn_choose_scores scores;
    const qn_choose_options options = {
        .size = sizeof options, .batch = batch, .answer = note, .user = s};
    *s = (sheet){0};
    assert_ok(qn_model_choose(model, c, &options, &scores));
    assert_int_equal(s->next, QUESTIONS);
    return scores;
}

static void same_as_alone(void **state)
{
    (void)state;
    static const qn_arch arches[] = {QN_GPT2, QN_LLAMA, QN_MISTRAL};
    qn_device *device;
    assert_ok(qn_device_open(NULL, &device));
    for (int a = 0; a < 3; a++) {
        qn_model *model = model_make(device, arches[a]);
        qn_choices *c = questions_make();
        sheet one, many, more;
        qn_choose_scores scores = choose(model, c, 1, &one);
        int64_t by_sum = 0, by_mean = 0, differ = 0;
        for (size_t q = 0; q < QUESTIONS; q++) {
            size_t spans = c->questions[q].spans, sum = 0, mean = 0;
            double nll[ENDINGS], rate[ENDINGS];
            for (size_t e = 0; e < ENDINGS; e++) {
                nll[e] = nll_alone(model, c, spans, spans + 1 + e);
                rate[e] = nll[e] / c->spans[spans + 1 + e].count;
                if (fabs(nll[e] - one.nll[q][e]) > 1e-5 * nll[e])
                    fail_msg("question %zu: %.9g, not %.9g", q, one.nll[q][e], nll[e]);
                if (nll[e] < nll[sum]) sum = e;
                if (rate[e] < rate[mean]) mean = e;
            }
            assert_int_equal(one.by_sum[q], sum);
            assert_int_equal(one.by_mean[q], mean);
            by_sum += (int64_t)sum == c->questions[q].label;
            by_mean += (int64_t)mean == c->questions[q].label;
            differ += sum != mean;
        }
        assert_int_equal(scores.questions, QUESTIONS);
        assert_int_equal(scores.right_by_sum, by_sum);
        assert_int_equal(scores.right_by_mean, by_mean);
        assert_true(differ > 0); /* or the test cannot tell them apart */
        assert_true(fabs(scores.chance - 1.0 / ENDINGS) < 1e-12);
        assert_int_equal(scores.shortened, 0);
        choose(model, c, 7, &many);
        choose(model, c, 3, &more); /* the plan of 7 again */
        assert_memory_equal(one.nll, many.nll, sizeof one.nll);
        assert_memory_equal(one.nll, more.nll, sizeof one.nll);
        qn_choices_destroy(&c);
        qn_model_destroy(&model);
    }
    qn_device_close(&device);
}

/* A context that is too long loses its beginning; an ending that is cannot be asked for. */
static void lengths(void **state)
{
    (void)state;
    qn_device *device;
    qn_choices *c;
    qn_choose_scores scores;
    int32_t tokens[2 * CONTEXT];
    for (int i = 0; i < 2 * CONTEXT; i++) tokens[i] = (i * 17 + 5) % VOCAB;
    assert_ok(qn_device_open(NULL, &device));
    qn_model *model = model_make(device, QN_LLAMA);
    assert_ok(qn__choices_create(&c));
    assert_ok(qn__choices_add(c, 0, 2));
    assert_ok(qn__choices_add_span(c, tokens, 2 * CONTEXT));
    assert_ok(qn__choices_add_span(c, tokens, 1));
    assert_ok(qn__choices_add_span(c, tokens + 7, CONTEXT)); /* one context token is left */
    sheet s = {0};
    const qn_choose_options options = {.size = sizeof options, .batch = 2};
    assert_ok(qn_model_choose(model, c, &options, &scores));
    assert_int_equal(scores.shortened, 1);
    double nll[2] = {nll_alone(model, c, 0, 1), nll_alone(model, c, 0, 2) / CONTEXT};
    assert_int_equal(scores.right_by_mean, nll[0] < nll[1]);
    assert_int_equal(scores.tokens, 2 * CONTEXT);
    assert_ok(qn__choices_add(c, 1, 2));
    assert_ok(qn__choices_add_span(c, tokens, 1));
    assert_ok(qn__choices_add_span(c, tokens, 1));
    assert_ok(qn__choices_add_span(c, tokens, CONTEXT + 1));
    assert_int_equal(qn_model_choose(model, c, NULL, &scores), QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "question 1"));
    qn_choices_destroy(&c);
    c = questions_make();
    c->tokens[5] = VOCAB;
    assert_int_equal(qn_model_choose(model, c, NULL, &scores), QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "another tokenizer"));
    c->tokens[5] = 0;
    const qn_choose_options stops = {.size = sizeof stops, .answer = note, .user = &s};
    s.stop = 4;
    assert_int_equal(qn_model_choose(model, c, &stops, &scores), QN_INTERRUPTED);
    assert_int_equal(s.next, 4);
    const qn_choose_options wrong = {.size = 3};
    assert_int_equal(qn_model_choose(model, c, &wrong, &scores), QN_BAD_ARGUMENT);
    qn_choices_destroy(&c);
    qn_model_destroy(&model);
    qn_device_close(&device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_as_alone), cmocka_unit_test(lengths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
