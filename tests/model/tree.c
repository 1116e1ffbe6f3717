/* The gradient of a step is the tree of its leaves' gradients, bit for bit, whoever adds them: each
 * leaf's gradient is made by itself and read, and the tree is built here. Planned is allocated. */
#include "train/training.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CONTEXT = 13, VOCAB = 71, MOST = 21 };

static void must(qn_status status)
{
    if (status != QN_OK) fail_msg("%s: %s", qn_status_name(status), qn_last_error());
}

static bool is_gradient(const qn_store_tensor *tensor)
{
    return strncmp(tensor->name, "grad.", 5) == 0 || strncmp(tensor->name, "grad2.", 6) == 0;
}

static int64_t gradient_floats(const qn_store *store)
{
    int64_t count = 0;
    for (int i = 0; i < store->tensor_count; i++)
        if (is_gradient(&store->tensors[i]))
            count += qn_shape_elements(&store->tensors[i].desc.shape);
    return count;
}

/* All gradients, one after the other; where two is given, a weight's second use goes there. */
static void read_gradients(qn_store *store, float *all)
{
    for (int i = 0; i < store->tensor_count; i++) {
        if (!is_gradient(&store->tensors[i])) continue;
        size_t count = (size_t)qn_shape_elements(&store->tensors[i].desc.shape);
        must(qn_store_read(store, store->tensors[i].name, all, count * sizeof *all));
        all += count;
    }
}

/* leaves [count][n] -> their tree in leaves[0]: halves of a power of two, else the largest power of
 * two and the rest. */
static void add_tree(float **leaves, int count, int64_t n)
{
    int left = 1;
    if (count < 2) return;
    while (left * 2 < count) left *= 2;
    add_tree(leaves, left, n);
    add_tree(leaves + left, count - left, n);
    for (int64_t i = 0; i < n; i++) leaves[0][i] = leaves[0][i] + leaves[left][i];
}

/* As the step does once the tree is there: a tied weight's second use is added to its first. */
static void add_second_uses(const qn_store *store, float *all)
{
    const float *first = NULL;
    float *at = all, *of = NULL;
    for (int i = 0; i < store->tensor_count; i++) {
        const qn_store_tensor *tensor = &store->tensors[i];
        if (!is_gradient(tensor)) continue;
        int64_t count = qn_shape_elements(&tensor->desc.shape);
        if (strncmp(tensor->name, "grad2.", 6) == 0)
            for (int64_t e = 0; e < count; e++) of[e] = first[e] + at[e];
        first = of = at;
        at += count;
    }
}

static void set_leaves(qn_training *t)
{
    int32_t *ids = malloc((size_t)t->rows * 2 * sizeof *ids), *targets = ids + t->rows;
    assert_non_null(ids);
    for (int64_t leaf = 0; leaf < t->leaves; leaf++) {
        for (int i = 0; i < t->rows; i++) {
            ids[i] = (int32_t)((i * i * 3 + i + leaf * 17) % VOCAB);
            targets[i] = (int32_t)((ids[i] * 5 + leaf) % VOCAB);
        }
        qn__training_set_leaf(t, leaf, ids, targets);
    }
    free(ids);
}

static void check(const qn_model_config *config, const qn_training_options *options)
{
    qn_device *device;
    qn_training *t;
    double loss, norm;
    uint64_t used = 0;
    float *leaves[MOST];
    must(qn_device_open(NULL, &device));
    must(qn__training_create(device, qn__device_caps(device), config, options, &t));
    must(qn__training_prepare(t));
    qn_device_memory(device, &used, NULL);
    assert_int_equal(used, qn__training_bytes(t));
    must(qn__weights_init(t->store, config, 5));
    set_leaves(t);
    must(qn__training_step(t, 9, 1, &loss, &norm));
    int64_t n = gradient_floats(t->store);
    float *got = malloc((size_t)n * sizeof *got);
    assert_non_null(got);
    read_gradients(t->store, got);
    for (int leaf = 0; leaf < t->leaves; leaf++) {
        leaves[leaf] = malloc((size_t)n * sizeof *got);
        assert_non_null(leaves[leaf]);
        must(qn__store_select(t->store, "leaf", leaf));
        must(qn_plan_run(t->step_plan, QN_ALL, 0, 0));
        read_gradients(t->store, leaves[leaf]);
    }
    add_tree(leaves, (int)t->leaves, n);
    add_second_uses(t->store, leaves[0]);
    int64_t other = 0;
    for (int64_t i = 0; i < n; i++) other += memcmp(&got[i], &leaves[0][i], sizeof *got) != 0;
    if (other > 0)
        fail_msg("%lld leaves: %lld of %lld elements have other bits", (long long)t->leaves,
                 (long long)other, (long long)n);
    for (int leaf = 0; leaf < t->leaves; leaf++) free(leaves[leaf]);
    free(got);
    qn__training_destroy(&t);
    qn_device_close(&device);
}

static qn_model_config tiny(qn_arch arch)
{
    qn_model_config c;
    must(qn_model_config_named(arch, NULL, &c));
    c.vocab = VOCAB;
    c.context = CONTEXT;
    c.layers = 1;
    c.kv_heads = arch == QN_LLAMA ? 2 : c.heads;
    return c;
}

static void all_counts(void **state)
{
    (void)state;
    const qn_model_config c = tiny(QN_GPT2);
    for (int leaves = 1; leaves <= MOST; leaves += leaves < 11 ? 1 : 5) {
        const qn_training_options o = {.batch = leaves * 2, .micro = 2, .dropout = 0.1f};
        check(&c, &o);
    }
}

static void ways(void **state)
{
    (void)state;
    const qn_model_config gpt2 = tiny(QN_GPT2);
    qn_model_config llama = tiny(QN_LLAMA);
    const qn_training_options bf16 = {.batch = 22, .micro = 2, .type = QN_BF16},
                              parts = {.batch = 22, .micro = 2, .head_chunk = 7},
                              plain = {.batch = 14, .micro = 2, .variant = "plain"},
                              tile = {.batch = 14, .micro = 2, .variant = "tile"},
                              again = {.batch = 14, .micro = 2, .recompute = QN_RECOMPUTE_BLOCK},
                              long_sums = {.batch = 240, .micro = 80};
    llama.tied = false;
    check(&gpt2, &bf16);
    check(&llama, &bf16);
    check(&gpt2, &parts);
    check(&llama, &parts);
    check(&gpt2, &plain);
    check(&gpt2, &tile);
    check(&llama, &again);
    check(&gpt2, &long_sums); /* more rows than a product's sums go through at once */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_counts), cmocka_unit_test(ways)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
