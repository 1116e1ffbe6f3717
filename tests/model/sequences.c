/* Sequences side by side: in every type of cache each has the bits that it has alone, whatever runs
 * beside it and in which pieces; beginnings are reused to the bit; what shifting states holds. */
#include "unit/file_support.h"

#include "base/rng.h"
#include "model/model.h"
#include "model/scaled_weights.h"

#include <math.h>

enum { VOCAB = 61, CONTEXT = 300, SEQUENCES = 4, LONGEST = 270 };

static const int lengths[SEQUENCES] = {5, LONGEST, 40, 13};
static const char *const types[] = {"f32", "f16", "q8_0", "q4_0"};
static const qn_arch archs[] = {QN_LLAMA, QN_MISTRAL, QN_LLAMA, QN_GPT2};

typedef struct fixture {
    qn_device *device;
    int32_t token[SEQUENCES][LONGEST];
} fixture;

static qn_model *model_make(qn_device *device, qn_arch arch, int layers,
                            const qn_model_options *options)
{
    qn_model_config c;
    qn_model *model;
    assert_ok(qn_model_config_named(arch, NULL, &c));
    c.vocab = VOCAB;
    c.context = CONTEXT;
    c.layers = layers;
    c.heads = 4;
    c.kv_heads = arch == QN_GPT2 ? 4 : 2;
    c.embed = 128;
    c.ffn = 64;
    if (arch == QN_MISTRAL) c.window = 20;
    assert_ok(qn__model_create(device, &c, &model));
    assert_ok(qn__weights_init(model->store, &c, 3));
    weights_scale(model, 6);
    assert_ok(qn__model_set_cache(model, options));
    return model;
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    qn_rng rng = {.seed = 11};
    *state = f;
    assert_ok(qn_device_open(NULL, &f->device));
    for (int s = 0; s < SEQUENCES; s++)
        for (int i = 0; i < LONGEST; i++) f->token[s][i] = (int32_t)qn__rng_below(&rng, VOCAB);
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    qn_device_close(&f->device);
    free(f);
    return 0;
}

typedef float lines[LONGEST][VOCAB];

/* Logits after each token of each sequence, fed one by one, by itself. */
static void alone(const fixture *f, qn_arch arch, const char *type, lines *want)
{
    const qn_model_options options = {.size = sizeof options, .cache_type = type};
    qn_model *model = model_make(f->device, arch, 2, &options);
    qn_session *session;
    const float *logits;
    assert_ok(qn_session_create(model, NULL, &session));
    for (int s = 0; s < SEQUENCES; s++) {
        qn_session_reset(session);
        for (int i = 0; i < lengths[s]; i++) {
            assert_ok(qn_session_feed(session, &f->token[s][i], 1));
            assert_ok(qn_session_logits(session, &logits));
            memcpy(want[s][i], logits, sizeof want[s][i]);
        }
    }
    qn_session_destroy(&session);
    qn_model_destroy(&model);
}

/* Random pieces of random sequences, until all are through. */
static void beside(const fixture *f, qn_batch *batch, uint64_t seed, lines *want)
{
    qn_rng rng = {.seed = seed};
    int32_t id[SEQUENCES], done[SEQUENCES] = {0}, reused;
    int left = SEQUENCES;
    for (int s = 0; s < SEQUENCES; s++) assert_ok(qn_batch_add(batch, NULL, 0, &id[s], &reused));
    while (left > 0) {
        qn_batch_row rows[256];
        int at[256][2], count = 0, wanted = 0;
        int64_t pieces = 1 + (int64_t)qn__rng_below(&rng, 6);
        for (int64_t p = 0; p < pieces; p++) {
            int s = (int)qn__rng_below(&rng, SEQUENCES);
            int some = 1 + (int)qn__rng_below(&rng, seed % 2 ? 3 : 40);
            for (; some > 0 && done[s] < lengths[s]; some--) {
                bool look = qn__rng_below(&rng, 3) == 0 || done[s] + 1 == lengths[s];
                if (look) at[wanted][0] = s, at[wanted++][1] = done[s];
                rows[count++] = (qn_batch_row){id[s], f->token[s][done[s]++], look};
                left -= done[s] == lengths[s];
            }
        }
        const float *logits;
        assert_ok(qn_batch_run(batch, rows, (size_t)count, &logits));
        for (int i = 0; i < wanted; i++)
            assert_memory_equal(logits + i * VOCAB, want[at[i][0]][at[i][1]], sizeof **want);
    }
    for (int s = 0; s < SEQUENCES; s++) {
        assert_int_equal(qn_batch_length(batch, id[s]), lengths[s]);
        assert_ok(qn_batch_remove(batch, id[s], seed % 2 == 0));
    }
}

/* A beginning of sequence 1 and other tokens after it: `want` in the part that is the same. */
static void reuse(const fixture *f, qn_batch *batch, lines *want)
{
    qn_batch_row rows[64];
    const float *logits;
    int32_t first, second, reused;
    assert_ok(qn_batch_add(batch, f->token[1], 60, &first, &reused));
    assert_int_equal(reused, 59); /* of a sequence that was kept */
    for (int i = 59; i < 64; i++) rows[i] = (qn_batch_row){first, f->token[1][i], true};
    assert_ok(qn_batch_run(batch, rows + 59, 5, &logits));
    assert_memory_equal(logits, want[1][59], 5 * sizeof **want);
    int32_t other[50];
    memcpy(other, f->token[1], sizeof other);
    for (int i = 33; i < 50; i++) other[i] = (other[i] + 1) % VOCAB;
    assert_ok(qn_batch_add(batch, other, 50, &second, &reused));
    assert_int_equal(reused, 33); /* of one alive */
    for (int i = 33; i < 50; i++) rows[i] = (qn_batch_row){second, other[i], true};
    assert_ok(qn_batch_run(batch, rows + 33, 17, NULL));
    assert_ok(qn_batch_rewind(batch, second, 20)); /* back into the shared part, and on as 1 */
    for (int i = 20; i < 40; i++) rows[i] = (qn_batch_row){second, f->token[1][i], true};
    assert_ok(qn_batch_run(batch, rows + 20, 20, &logits));
    assert_memory_equal(logits, want[1][20], 20 * sizeof **want);
    rows[0] = (qn_batch_row){first, f->token[1][64], true};
    assert_ok(qn_batch_run(batch, rows, 1, &logits));
    assert_memory_equal(logits, want[1][64], sizeof **want);
    assert_ok(qn_batch_remove(batch, first, false));
    assert_ok(qn_batch_remove(batch, second, false));
}

static void neighbours_change_no_bit(void **state)
{
    const fixture *f = *state;
    lines *want = malloc(SEQUENCES * sizeof *want);
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        const qn_model_options options = {
            .size = sizeof options, .cache_type = types[t], .sequences = 7, .cache_tokens = 360};
        qn_model *model = model_make(f->device, archs[t], 2, &options);
        qn_batch *batch;
        alone(f, archs[t], types[t], want);
        assert_ok(qn_batch_create(model, &batch));
        assert_int_equal(qn_batch_room(batch), 360);
        for (uint64_t seed = 1; seed <= 2; seed++) beside(f, batch, seed, want);
        reuse(f, batch, want);
        beside(f, batch, 3, want); /* what was kept gives way */
        assert_int_equal(qn_batch_room(batch), 360);
        qn_batch_destroy(&batch);
        qn_model_destroy(&model);
    }
    free(want);
}

/* After `drop` of the first 100 tokens of sequence 1 behind `keep`: logits of 20 more. */
static void shifted(const fixture *f, qn_batch *batch, int32_t keep, int32_t drop, bool share,
                    float *logits)
{
    qn_batch_row rows[100];
    const float *got;
    int32_t id, other = -1, reused;
    assert_ok(qn_batch_add(batch, NULL, 0, &id, &reused));
    for (int i = 0; i < 100; i++) rows[i] = (qn_batch_row){id, f->token[1][i], false};
    assert_ok(qn_batch_run(batch, rows, 100, NULL));
    if (share) assert_ok(qn_batch_add(batch, f->token[1], 90, &other, &reused));
    if (share) assert_int_equal(reused, 89);
    assert_ok(qn_batch_shift(batch, id, keep, drop));
    assert_int_equal(qn_batch_length(batch, id), 100 - drop);
    for (int i = 0; i < 20; i++) rows[i] = (qn_batch_row){id, f->token[2][i], true};
    assert_ok(qn_batch_run(batch, rows, 20, &got));
    memcpy(logits, got, sizeof(float) * 20 * VOCAB);
    assert_ok(qn_batch_remove(batch, id, false));
    if (share) assert_ok(qn_batch_remove(batch, other, true));
}

/* The largest difference from a sequence that begins again without those tokens. */
static double beside_fresh(const fixture *f, qn_batch *batch, int32_t keep, int32_t drop,
                           const float *logits)
{
    qn_batch_row rows[120];
    const float *fresh;
    int32_t id, reused;
    int count = 0;
    double most = 0;
    assert_ok(qn_batch_add(batch, NULL, 0, &id, &reused));
    for (int i = 0; i < 100; i++)
        if (i < keep || i >= keep + drop) rows[count++] = (qn_batch_row){id, f->token[1][i], false};
    for (int i = 0; i < 20; i++) rows[count++] = (qn_batch_row){id, f->token[2][i], true};
    assert_ok(qn_batch_run(batch, rows, (size_t)count, &fresh));
    for (int i = 0; i < 20 * VOCAB; i++)
        most = fmax(most, fabs((double)logits[i] - (double)fresh[i]));
    assert_ok(qn_batch_remove(batch, id, false));
    return most;
}

static void shifting_does_what_it_states(void **state)
{
    const fixture *f = *state;
    /* Of logits around 1: in f32 the rounding of turned keys; a format's own otherwise. */
    const double bounds[] = {2e-5, 2e-2, 2e-1, 3};
    const int32_t cuts[][2] = {{4, 48}, {0, 10}, {30, 1}, {60, 40}};
    static float one[20 * VOCAB], other[20 * VOCAB];
    for (int layers = 1; layers <= 2; layers++)
        for (size_t t = 0; t < sizeof types / sizeof types[0]; t += 1 + (size_t)layers) {
            qn_model_options options = {.size = sizeof options, .cache_type = types[t]};
            qn_model *single = model_make(f->device, QN_LLAMA, layers, &options);
            options.sequences = 3;
            qn_model *many = model_make(f->device, QN_LLAMA, layers, &options);
            qn_batch *in_order, *batch;
            assert_ok(qn_batch_create(single, &in_order));
            assert_ok(qn_batch_create(many, &batch));
            for (int c = 0; c < 4; c++) {
                shifted(f, in_order, cuts[c][0], cuts[c][1], false, one);
                shifted(f, batch, cuts[c][0], cuts[c][1], c % 2, other);
                assert_memory_equal(one, other, sizeof one);
                double away = beside_fresh(f, in_order, cuts[c][0], cuts[c][1], one);
                print_message("%d layers, %s, %d after %d: %.3g\n", layers, types[t], cuts[c][1],
                              cuts[c][0], away);
                if (layers == 1) assert_true(away <= bounds[t]);
                else assert_true(away > 1e-3 || cuts[c][0] == 60); /* an approximation */
            }
            qn_batch_destroy(&in_order);
            qn_batch_destroy(&batch);
            qn_model_destroy(&single);
            qn_model_destroy(&many);
        }
}

static void what_cannot_be_is_refused(void **state)
{
    const fixture *f = *state;
    qn_model_options options = {.size = sizeof options, .sequences = 2, .cache_tokens = 30};
    qn_model *model = model_make(f->device, QN_GPT2, 1, &options);
    qn_batch *batch, *newer;
    qn_batch_row rows[31];
    int32_t id[3], reused;
    assert_ok(qn_batch_create(model, &batch));
    for (int s = 0; s < 2; s++) assert_ok(qn_batch_add(batch, NULL, 0, &id[s], &reused));
    assert_int_equal(qn_batch_add(batch, NULL, 0, &id[2], &reused), QN_BAD_ARGUMENT);
    for (int i = 0; i < 31; i++) rows[i] = (qn_batch_row){id[i % 2], 1, false};
    assert_int_equal(qn_batch_run(batch, rows, 31, NULL), QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "room for 30 tokens"));
    assert_int_equal(qn_batch_length(batch, id[0]), 0);
    assert_ok(qn_batch_run(batch, rows, 30, NULL));
    assert_int_equal(qn_batch_shift(batch, id[0], 0, 3), QN_UNSUPPORTED);
    assert_int_equal(qn_batch_rewind(batch, id[0], 16), QN_BAD_ARGUMENT);
    rows[0].token = VOCAB;
    assert_int_equal(qn_batch_run(batch, rows, 1, NULL), QN_BAD_ARGUMENT);
    rows[0] = (qn_batch_row){7, 1, false};
    assert_int_equal(qn_batch_run(batch, rows, 1, NULL), QN_BAD_ARGUMENT);
    assert_ok(qn_batch_remove(batch, id[1], true));
    assert_int_equal(qn_batch_length(batch, id[1]), -1);
    assert_int_equal(qn_batch_room(batch), 15);
    assert_ok(qn_batch_create(model, &newer));
    rows[0] = (qn_batch_row){id[0], 1, false};
    assert_int_equal(qn_batch_run(batch, rows, 1, NULL), QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "made since"));
    qn_batch_destroy(&newer);
    qn_batch_destroy(&batch);
    options = (qn_model_options){.size = sizeof options, .cache_type = "q5_0"};
    assert_int_equal(qn__model_set_cache(model, &options), QN_BAD_ARGUMENT);
    qn_model_destroy(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_change_no_bit),
        cmocka_unit_test(shifting_does_what_it_states),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
