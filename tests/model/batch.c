/* Bits that must not change. A sequence's bits depend neither on its neighbours nor on its place:
 * the same sequence first, last, and alone in a batch. And four training steps, dropout included,
 * are the same with the plain kernels, the CPU's and the GPU's. GPT-2 and Llama. */
#include "train/training.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CONTEXT = 37, SEQUENCES = 5, VOCAB = 71 };

static void must(qn_status status)
{
    if (status != QN_OK) fail_msg("%s: %s", qn_status_name(status), qn_last_error());
}

static void losses_of(qn_device *device, const qn_model_config *config, int micro,
                      const int32_t *ids, float *losses)
{
    qn_training *t;
    const qn_training_options options = {.batch = micro, .micro = micro};
    int32_t targets[SEQUENCES * CONTEXT];
    double nll = 0;
    int64_t count = 0;
    must(qn__training_create(device, qn__device_caps(device), config, &options, &t));
    must(qn__training_prepare(t));
    must(qn__weights_init(t->store, config, 5));
    for (int i = 0; i < micro * CONTEXT; i++) targets[i] = (ids[i] * 7 + 3) % VOCAB;
    must(qn__training_eval(t, ids, targets, &nll, &count));
    must(qn_store_read(t->store, "train.loss", losses, (size_t)(micro * CONTEXT) * sizeof *losses));
    qn__training_destroy(&t);
}

static void run(qn_arch arch)
{
    qn_device *device;
    qn_model_config c;
    int32_t ids[SEQUENCES * CONTEXT];
    float together[SEQUENCES * CONTEXT], alone[CONTEXT];
    must(qn_device_open(NULL, &device));
    must(qn_model_config_named(arch, NULL, &c));
    c.vocab = VOCAB;
    c.context = CONTEXT;
    c.kv_heads = arch == QN_LLAMA ? 2 : c.heads;
    for (int s = 0; s < SEQUENCES; s++)
        for (int i = 0; i < CONTEXT; i++)
            ids[s * CONTEXT + i] =
                s == 0 || s == SEQUENCES - 1 ? i * i % VOCAB : (i * 13 + s * 29) % VOCAB;
    losses_of(device, &c, SEQUENCES, ids, together);
    losses_of(device, &c, 1, ids, alone);
    assert_memory_equal(together, together + (SEQUENCES - 1) * CONTEXT, sizeof alone);
    assert_memory_equal(together, alone, sizeof alone);
    losses_of(device, &c, 1, ids + 2 * CONTEXT, alone);
    assert_memory_equal(together + 2 * CONTEXT, alone, sizeof alone);
    qn_device_close(&device);
}

/* Losses of four training steps, every kernel of `variant` where it applies. */
static void train(qn_device *device, const qn_model_config *config, const char *variant,
                  double losses[4])
{
    qn_training *t;
    const qn_training_options options = {
        .batch = 2, .micro = 2, .dropout = 0.1f, .variant = variant};
    const qn_hyper hyper = {1e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, 10.0f, 20.0f, 1.0f};
    int32_t ids[2 * CONTEXT], targets[2 * CONTEXT];
    for (int i = 0; i < 2 * CONTEXT; i++) {
        ids[i] = (i * i * 3 + i) % VOCAB;
        targets[i] = (ids[i] * 5 + 1) % VOCAB;
    }
    must(qn__training_create(device, qn__device_caps(device), config, &options, &t));
    must(qn__training_prepare(t));
    must(qn__weights_init(t->store, config, 5));
    for (int step = 0; step < 4; step++) {
        double norm;
        qn__training_set_leaf(t, 0, ids, targets);
        must(qn__training_step(t, 9, step, &losses[step], &norm));
        must(qn__training_update(t, &hyper));
    }
    qn__training_destroy(&t);
}

/* What CPUs use, what GPUs use and the plain kernels train the same model, bit for bit. */
static void variants_train_the_same(qn_arch arch)
{
    qn_device *device;
    qn_model_config c;
    double usual[4], plain[4], tile[4];
    must(qn_device_open(NULL, &device));
    must(qn_model_config_named(arch, NULL, &c));
    c.vocab = VOCAB;
    c.context = CONTEXT;
    c.layers = 2;
    c.kv_heads = arch == QN_LLAMA ? 2 : c.heads;
    train(device, &c, NULL, usual);
    train(device, &c, "plain", plain);
    train(device, &c, "tile", tile);
    assert_memory_equal(usual, plain, sizeof usual);
    assert_memory_equal(usual, tile, sizeof usual);
    assert_true(usual[3] < usual[0]);
    qn_device_close(&device);
}

static void gpt2(void **state)
{
    (void)state;
    run(QN_GPT2);
    variants_train_the_same(QN_GPT2);
}

static void llama(void **state)
{
    (void)state;
    run(QN_LLAMA);
    variants_train_the_same(QN_LLAMA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gpt2), cmocka_unit_test(llama)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
