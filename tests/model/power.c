/* The power fails at any instant of a run's own save: checkpoint, then model folder. A checkpoint
 * loads each time, the one before or the new one, every hash right; the model's weights are whole,
 * old or new; and a run that goes on from there ends with the bits of one that was left alone. */
#include "model/trainer_run.h"
#include "unit/file_disk.h"

#include "file/checkpoint.h"

static qn_status save_run(void *user)
{
    return qn_trainer_save(user);
}

static void steps(qn_trainer *t, int64_t until)
{
    while (t->step < until) assert_ok(qn_trainer_step(t, NULL));
}

/* Step of the checkpoint that loads, its hashes read. */
static int64_t newest(const char *out)
{
    qn_checkpoint *checkpoint;
    assert_ok(qn__checkpoint_open_newest(out, true, &checkpoint));
    assert_non_null(checkpoint);
    int64_t step = qn__checkpoint_step(checkpoint);
    qn__checkpoint_close(&checkpoint);
    return step;
}

static bool equal(bytes a, bytes b)
{
    return a.count == b.count && memcmp(a.data, b.data, a.count) == 0;
}

/* Resume on a disk as it was found; to step 3, as `want` is. */
static void go_on(const tiny_run *run, const char *disk, const qn_trainer *want)
{
    tiny_run there = {.device = run->device, .root = (char *)(uintptr_t)disk};
    bytes text = file_bytes(path_in(run->root, "text.txt"));
    file_write(path_in(disk, "text.txt"), text.data, text.count);
    free(text.data);
    qn_trainer *t = trainer_make(&there, "out", &(keys){.row = {{"resume", "true"}}});
    steps(t, 3);
    assert_same_state(want, t);
    qn_trainer_destroy(&t);
}

static void power_cuts(void **state)
{
    (void)state;
    tiny_run run = run_make();
    char *disk = folder_make();
    uint64_t seed = setting("QN_POWER_SEED", 1), rounds = setting("QN_POWER_ROUNDS", 2);
    size_t disks = 0, resumed = 0;
    snprintf(root, sizeof root, "%s", run.root);
    const char *model = "out/model.safetensors";
    qn_trainer *t = trainer_make(&run, "out", NULL);
    steps(t, 2);
    assert_ok(qn_trainer_save(t));
    bytes before = file_bytes(path_in(root, model));
    steps(t, 3);
    record_calls(save_run, t);
    bytes after = file_bytes(path_in(root, model));
    assert_false(equal(before, after));
    for (size_t n = 0; n <= op_count; n++)
        for (uint64_t round = 0; round < rounds; round++, disks++) {
            qn_rng rng = {.seed = seed, .stream = n * 1000003 + round};
            rebuild(disk, n, &rng);
            int64_t step = newest(path_in(disk, "out"));
            bytes weights = file_bytes(path_in(disk, model));
            bool whole = equal(weights, after) || (equal(weights, before) && n < op_count);
            if (!(step == 3 || (step == 2 && n < op_count)) || !whole)
                fail_msg("QN_POWER_SEED=%llu, op %zu of %zu, round %llu: step %lld, model %s",
                         (unsigned long long)seed, n, op_count, (unsigned long long)round,
                         (long long)step, whole ? "whole" : "torn");
            free(weights.data);
            if (disks % 16 == 0) {
                go_on(&run, disk, t);
                resumed++;
            }
            wipe(disk);
        }
    print_message("%zu power cuts in %zu calls, %zu of them resumed\n", disks, op_count, resumed);
    forget_calls();
    free(before.data);
    free(after.data);
    qn_trainer_destroy(&t);
    folder_drop(disk);
    run_drop(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(power_cuts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
