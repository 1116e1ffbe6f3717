/* Power cuts during a save (file_disk.h): what then loads is the checkpoint before or the new one,
 * with every value right and without reading hashes; the new one, if the save had returned. */
#include "file_disk.h"
#include "file_run.h"

static qn_status save_second(void *user)
{
    return save(path_in(root, "run"), *(const int64_t *)user, 2);
}

/* Steps 1 and 2 are on the disk; `step` is saved, and the power fails. */
static size_t cut_everywhere(int64_t step)
{
    char *folder = folder_make(), *disk = folder_make();
    size_t disks = 0;
    uint64_t seed = setting("QN_POWER_SEED", 1), rounds = setting("QN_POWER_ROUNDS", 10);
    snprintf(root, sizeof root, "%s", folder);
    assert_ok(save(path_in(folder, "run"), 1, 1));
    assert_ok(save(path_in(folder, "run"), 2, 1));
    record_calls(save_second, &step);
    for (size_t n = 0; n <= op_count; n++)
        for (uint64_t round = 0; round < rounds; round++) {
            qn_rng rng = {.seed = seed, .stream = n * 1000003 + round};
            int version = 0;
            rebuild(disk, n, &rng);
            int64_t loaded = load(path_in(disk, "run"), false, &version);
            bool new = loaded == step &&version == 2, old = loaded == 2 && version == 1;
            if (!(new || (old && n < op_count)))
                fail_msg("QN_POWER_SEED=%llu, saving %lld, op %zu of %zu, round %llu: step %lld "
                         "version %d",
                         (unsigned long long)seed, (long long)step, n, op_count,
                         (unsigned long long)round, (long long)loaded, version);
            assert_int_equal(load(path_in(disk, "run"), true, &version), loaded);
            wipe(disk);
            disks++;
        }
    forget_calls();
    folder_drop(folder);
    folder_drop(disk);
    return disks;
}

static void power_cuts(void **state)
{
    (void)state;
    size_t disks = cut_everywhere(3);
    disks += cut_everywhere(2); /* writing the same step again */
    print_message("%zu power cuts\n", disks);
    assert_true(disks > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(power_cuts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
