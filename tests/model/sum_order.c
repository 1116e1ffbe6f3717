/* Micro-batches that add into one gradient (--sum-order chain) beside the tree: the same gradient
 * within rounding, less memory, as much as planned, and the same bits each time. */
#include "model/trainer_run.h"

enum { STEPS = 5 };

typedef struct outcome {
    double loss[STEPS], norm[STEPS];
    uint64_t used;
    bytes weights;
} outcome;

static outcome run_with(const tiny_run *run, const keys *base, const char *order)
{
    outcome o = {0};
    keys k = *base;
    int at = 0;
    while (k.row[at][0]) at++;
    k.row[at][0] = "sum_order";
    k.row[at][1] = order;
    qn_trainer *t = trainer_make(run, "out", &k);
    qn_device_memory(run->device, &o.used, NULL);
    assert_int_equal(o.used, qn__training_bytes(t->training));
    for (int i = 0; i < STEPS; i++) {
        qn_step_info info = {.size = sizeof info};
        assert_ok(qn_trainer_step(t, &info));
        o.loss[i] = info.loss;
        o.norm[i] = info.grad_norm;
    }
    o.weights = state_bytes(t, false);
    qn_trainer_destroy(&t);
    return o;
}

static void beside_the_tree(void **state)
{
    (void)state;
    static const keys ways[] = {
        {{{"arch", "gpt2"}}}, /* tied: two uses of one weight */
        {{{"arch", "llama"}, {"untied", "true"}, {"head_chunk", "8"}}},
        {{{"arch", "llama"}, {"precision", "bf16"}, {"dropout", "0"}}},
    };
    for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
        tiny_run run = run_make();
        outcome tree = run_with(&run, &ways[w], "tree"), chain = run_with(&run, &ways[w], "chain"),
                again = run_with(&run, &ways[w], "chain");
        double within = w == 2 ? 2e-3 : 1e-5;
        assert_true(chain.loss[0] == tree.loss[0]);
        assert_true(fabs(chain.norm[0] - tree.norm[0]) <= 1e-6 * tree.norm[0]);
        for (int i = 0; i < STEPS; i++)
            assert_true(fabs(chain.loss[i] - tree.loss[i]) <= within * tree.loss[i]);
        assert_true(chain.used < tree.used); /* one gradient, not three */
        assert_same_bytes(chain.weights, again.weights, "weights of two equal runs");
        free(tree.weights.data);
        run_drop(&run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(beside_the_tree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
