/* Ten AdamW steps of a tiny model of each architecture against PyTorch's numbers
 * (make_torch_steps.py): losses within 1e-5, gradients of the first step within 1e-4 of their norm.
 * Whole batch at once, and in three leaves. */
#include "train/training.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BATCH = 3, CONTEXT = 16, VOCAB = 61, STEPS = 10 };

typedef struct gradient_row {
    const char *name;
    double norm, dot;
} gradient_row;

#include "torch_steps.inc"

static void must(qn_status status)
{
    if (status != QN_OK) fail_msg("%s: %s", qn_status_name(status), qn_last_error());
}

static void fill_adapters(qn_training *t)
{
    qn_weight weight;
    int index = 1000;
    if (t->lora.rank == 0) return;
    for (int cursor = 0; qn__trainable_next(&t->config, &t->lora, &cursor, &weight); index++) {
        int64_t count = qn_shape_elements(&weight.shape);
        float *values = malloc((size_t)count * sizeof *values);
        for (int64_t i = 0; i < count; i++)
            values[i] = (float)(0.08 * sin(0.7 * (double)i + 1.3 * index + 0.2));
        must(qn_store_write(t->store, weight.name, values, (size_t)count * sizeof *values));
        free(values);
    }
}

static void fill_weights(qn_training *t)
{
    qn_weight weight;
    int index = 0;
    for (int cursor = 0; qn__weight_next(&t->config, &cursor, &weight); index++) {
        int64_t count = qn_shape_elements(&weight.shape);
        float *values = malloc((size_t)count * sizeof *values);
        bool norm = qn__is_norm(weight.role);
        for (int64_t i = 0; i < count; i++)
            values[i] =
                (float)((norm ? 1.0 : 0.0) + 0.08 * sin(0.7 * (double)i + 1.3 * index + 0.2));
        must(qn_store_write(t->store, weight.name, values, (size_t)count * sizeof *values));
        free(values);
    }
}

static void set_tokens(qn_training *t)
{
    int32_t ids[BATCH * CONTEXT], targets[BATCH * CONTEXT];
    for (int64_t leaf = 0; leaf < t->leaves; leaf++) {
        for (int64_t s = 0; s < t->micro; s++)
            for (int64_t i = 0; i < CONTEXT; i++) {
                int64_t row = (leaf * t->micro + s) * (CONTEXT + 1) + i, next = row + 1;
                ids[s * CONTEXT + i] = (int32_t)((31 * row + row * row + 17) % VOCAB);
                targets[s * CONTEXT + i] = (int32_t)((31 * next + next * next + 17) % VOCAB);
            }
        qn__training_set_leaf(t, leaf, ids, targets);
    }
}

static void check_gradients(qn_training *t, const gradient_row *rows, size_t count)
{
    for (size_t r = 0; r < count; r++) {
        char name[128];
        qn_shape shape;
        snprintf(name, sizeof name, "grad.%s", rows[r].name);
        must(qn_store_find(t->store, name, NULL, &shape));
        int64_t n = qn_shape_elements(&shape);
        float *g = malloc((size_t)n * sizeof *g);
        must(qn_store_read(t->store, name, g, (size_t)n * sizeof *g));
        double squares = 0, dot = 0;
        for (int64_t i = 0; i < n; i++) {
            squares += (double)g[i] * (double)g[i];
            dot += (double)g[i] * cos(0.3 * (double)i);
        }
        free(g);
        if (fabs(sqrt(squares) - rows[r].norm) > 1e-4 * rows[r].norm ||
            fabs(dot - rows[r].dot) > 1e-4 * rows[r].norm)
            fail_msg("gradient of %s: norm %.9g, dot %.9g; PyTorch has %.9g, %.9g", rows[r].name,
                     sqrt(squares), dot, rows[r].norm, rows[r].dot);
    }
}

static void run_lora(const qn_model_config *config, const qn_lora *lora, int micro,
                     const double *losses, const gradient_row *rows, size_t count)
{
    qn_device *device;
    qn_training *t;
    const qn_training_options options = {.batch = BATCH, .micro = micro, .lora = lora};
    must(qn_device_open(NULL, &device));
    must(qn__training_create(device, qn__device_caps(device), config, &options, &t));
    must(qn__training_prepare(t));
    fill_weights(t);
    fill_adapters(t);
    for (int step = 0; step < STEPS; step++) {
        double loss, norm;
        set_tokens(t);
        must(qn__training_step(t, 1, step, &loss, &norm));
        if (step == 0) check_gradients(t, rows, count);
        if (fabs(loss - losses[step]) > 1e-5)
            fail_msg("step %d: loss %.9f; PyTorch has %.9f", step, loss, losses[step]);
        qn_hyper hyper = {.lr = 1e-3f,
                          .beta1 = 0.9f,
                          .beta2 = 0.95f,
                          .eps = 1e-8f,
                          .weight_decay = 0.1f,
                          .correction1 = (float)(1 / (1 - pow(0.9, step + 1))),
                          .correction2 = (float)(1 / (1 - pow(0.95, step + 1))),
                          .scale = (float)(norm > 1 ? 1 / (norm + 1e-6) : 1)};
        must(qn__training_update(t, &hyper));
    }
    uint64_t used;
    qn_device_memory(device, &used, NULL);
    assert_int_equal(used, qn__training_bytes(t)); /* the memory report is what was allocated */
    qn__training_destroy(&t);
    qn_device_memory(device, &used, NULL);
    assert_int_equal(used, 0);
    qn_device_close(&device);
}

static void run(const qn_model_config *config, int micro, const double *losses,
                const gradient_row *rows, size_t count)
{
    run_lora(config, NULL, micro, losses, rows, count);
}

static qn_model_config tiny(qn_arch arch)
{
    qn_model_config c;
    must(qn_model_config_named(arch, NULL, &c));
    c.vocab = VOCAB;
    c.context = CONTEXT;
    c.embed = 24;
    c.layers = 2;
    c.heads = arch == QN_GPT2 ? 3 : 6;
    c.kv_heads = arch == QN_GPT2 ? 3 : 2;
    c.ffn = arch == QN_GPT2 ? 96 : 40;
    c.tied = arch == QN_GPT2;
    return c;
}

#define ROWS(table) table, sizeof table / sizeof table[0]

static void gpt2(void **state)
{
    (void)state;
    qn_model_config c = tiny(QN_GPT2);
    run(&c, BATCH, gpt2_losses, ROWS(gpt2_gradients));
}

static void gpt2_in_leaves(void **state)
{
    (void)state;
    qn_model_config c = tiny(QN_GPT2);
    run(&c, 1, gpt2_losses, ROWS(gpt2_gradients));
}

static void llama(void **state)
{
    (void)state;
    qn_model_config c = tiny(QN_LLAMA);
    run(&c, BATCH, llama_losses, ROWS(llama_gradients));
}

static void llama_in_leaves(void **state)
{
    (void)state;
    qn_model_config c = tiny(QN_LLAMA);
    run(&c, 1, llama_losses, ROWS(llama_gradients));
}

/* Scaled rotary angles, biases everywhere. */
static void llama3(void **state)
{
    (void)state;
    qn_model_config c = tiny(QN_LLAMA);
    c.rope =
        (qn_rope_rule){.scaling = QN_ROPE_LLAMA3, .factor = 4, .low = 1, .high = 4, .original = 8};
    c.bias = c.mlp_bias = true;
    run(&c, BATCH, llama3_losses, ROWS(llama3_gradients));
}

/* A window in every layer, heads of their own size; also in leaves. */
static void mistral(void **state)
{
    (void)state;
    qn_model_config c = tiny(QN_MISTRAL);
    c.window = 5;
    c.head_size = 6;
    run(&c, BATCH, mistral_losses, ROWS(mistral_gradients));
    run(&c, 1, mistral_losses, ROWS(mistral_gradients));
}

/* A window in the second layer, biases of queries, keys and values. */
static void qwen2(void **state)
{
    (void)state;
    qn_model_config c = tiny(QN_QWEN2);
    c.window = 5;
    c.window_from = 1;
    run(&c, BATCH, qwen2_losses, ROWS(qwen2_gradients));
}

/* Normed queries and keys. */
static void qwen3(void **state)
{
    (void)state;
    qn_model_config c = tiny(QN_QWEN3);
    c.window = 5;
    c.window_from = 1;
    c.head_size = 10;
    run(&c, BATCH, qwen3_losses, ROWS(qwen3_gradients));
}

/* One matrix for queries, keys and values, one for gate and up. */
static void phi3(void **state)
{
    (void)state;
    qn_model_config c = tiny(QN_PHI3);
    c.window = 5;
    run(&c, BATCH, phi3_losses, ROWS(phi3_gradients));
}

/* Caps of scores and logits that bend them, norms after, a window in the first layer. */
static void gemma2(void **state)
{
    (void)state;
    qn_model_config c = tiny(QN_GEMMA2);
    c.window = 5;
    c.head_size = 6;
    c.tied = true;
    c.attention_scale = 0.25f;
    c.attention_cap = 1;
    c.logit_cap = 1.5f;
    run(&c, BATCH, gemma2_losses, ROWS(gemma2_gradients));
    run(&c, 1, gemma2_losses, ROWS(gemma2_gradients));
}

/* Adapters beside frozen weights, PEFT's numbers: gradients of every A and B, and losses. */
static void gpt2_lora(void **state)
{
    (void)state;
    qn_model_config c = tiny(QN_GPT2);
    qn_lora lora = {.rank = 2, .alpha = 5};
    must(qn__lora_targets(&c, "all-linear", &lora));
    run_lora(&c, &lora, BATCH, gpt2_lora_losses, ROWS(gpt2_lora_gradients));
}

static void llama_lora(void **state)
{
    (void)state;
    qn_model_config c = tiny(QN_LLAMA);
    qn_lora lora = {.rank = 3, .alpha = 6};
    must(qn__lora_targets(&c, "q_proj, v_proj,mlp.down_proj", &lora));
    run_lora(&c, &lora, BATCH, llama_lora_losses, ROWS(llama_lora_gradients));
    run_lora(&c, &lora, 1, llama_lora_losses, ROWS(llama_lora_gradients));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpt2),      cmocka_unit_test(gpt2_in_leaves),
        cmocka_unit_test(llama),     cmocka_unit_test(llama_in_leaves),
        cmocka_unit_test(llama3),    cmocka_unit_test(mistral),
        cmocka_unit_test(qwen2),     cmocka_unit_test(qwen3),
        cmocka_unit_test(phi3),      cmocka_unit_test(gemma2),
        cmocka_unit_test(gpt2_lora), cmocka_unit_test(llama_lora)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
