/* Checkpoints: round trip, truncation and bit flips anywhere, leftovers of crashes, and a failure
 * or a kill at every single system call of a save. */
#include "file_run.h"

#include "base/fs.h"
#include "file/writer.h"

#include <errno.h>
#include <quernel/log.h>
#include <sys/stat.h>

static void round_trip(void **state)
{
    (void)state;
    char *base = folder_make(), *run = strdup(path_in(base, "deep/run"));
    int version = 0;
    assert_int_equal(load(run, true, &version), -1);
    for (int64_t step = 0; step < 400; step += 100) assert_ok(save(run, step, 1));
    assert_int_equal(load(run, true, &version), 300);
    assert_true(access(path_in(run, "step-00000300/MANIFEST.json"), F_OK) == 0);
    assert_ok(save(run, 300, 2)); /* the same step again */
    assert_int_equal(load(run, true, &version), 300);
    assert_int_equal(version, 2);
    assert_true(access(path_in(run, "step-00000300.old"), F_OK) != 0);
    assert_ok(qn__checkpoint_trim(run, 2, NULL));
    assert_true(access(path_in(run, "step-00000100"), F_OK) != 0);
    assert_true(access(path_in(run, "step-00000200"), F_OK) == 0);
    assert_int_equal(qn__checkpoint_trim(run, 0, NULL), QN_BAD_ARGUMENT);
    assert_ok(save(run, 123456789012, 1)); /* more digits than the padding */
    assert_int_equal(load(run, true, &version), 123456789012);
    assert_int_equal(save(run, -1, 1), QN_BAD_ARGUMENT);
    free(run);
    folder_drop(base);
}

static void two_ranks(void **state)
{
    (void)state;
    char *run = folder_make();
    qn_checkpoint_writer *zero, *one;
    int version = 0;
    assert_int_equal(qn__checkpoint_join(run, 7, &one), QN_CANNOT_WRITE);
    assert_ok(qn__checkpoint_begin(run, 7, &zero));
    assert_ok(qn__checkpoint_join(run, 7, &one));
    assert_ok(write_payload(zero, "weights.safetensors", 7, 3));
    assert_ok(write_payload(one, "optimizer.safetensors", 7, 3));
    assert_ok(qn__checkpoint_add_records(zero, qn__checkpoint_records(one)));
    qn__checkpoint_leave(&one);
    json_t *object = json_pack("{s:i, s:i, s:f}", "step", 7, "version", 3, "loss", 1.0 / 3);
    assert_ok(qn__checkpoint_commit(&zero, object));
    json_decref(object);
    assert_int_equal(load(run, true, &version), 7);
    folder_drop(run);
}

static unsigned warnings;

static void count_warnings(void *user, qn_log_level level, const char *line)
{
    (void)user;
    if (level == QN_LOG_WARN && strstr(line, "refused")) warnings++;
}

static const char *const parts[] = {"MANIFEST.json", "weights.safetensors",
                                    "optimizer.safetensors"};

/* Cut the newest checkpoint's files at every byte: the older one is taken, and the log says so. */
static void truncation(void **state)
{
    (void)state;
    char *run = folder_make();
    int version = 0;
    assert_ok(save(run, 1, 1));
    assert_ok(save(run, 2, 1));
    qn_log_set(count_warnings, NULL, QN_LOG_WARN);
    for (size_t p = 0; p < 3; p++) {
        char *path = strdup(path_in(path_in(run, "step-00000002"), parts[p]));
        bytes whole = file_bytes(path);
        for (size_t count = 0; count < whole.count; count++) {
            warnings = 0;
            file_write(path, whole.data, count);
            assert_int_equal(load(run, false, &version), 1);
            assert_int_equal(warnings, 1);
        }
        assert_int_equal(unlink(path), 0);
        assert_int_equal(load(run, false, &version), 1);
        file_write(path, whole.data, whole.count);
        assert_int_equal(load(run, true, &version), 2);
        free(whole.data);
        free(path);
    }
    qn_log_set(NULL, NULL, QN_LOG_WARN);
    folder_drop(run);
}

/* Every bit of every file of the newest checkpoint. A manifest flip may only pass if it leaves the
 * JSON's meaning as it was; `load` then compares every value. */
static void bit_flips(void **state)
{
    (void)state;
    char *run = folder_make();
    int version = 0;
    assert_ok(save(run, 1, 1));
    assert_ok(save(run, 2, 1));
    unsigned accepted = 0;
    for (size_t p = 0; p < 3; p++) {
        char *path = strdup(path_in(path_in(run, "step-00000002"), parts[p]));
        bytes whole = file_bytes(path);
        for (size_t i = 0; i < whole.count; i++)
            for (int bit = 0; bit < 8; bit++) {
                whole.data[i] ^= (uint8_t)(1 << bit);
                file_write(path, whole.data, whole.count);
                int64_t step = load(run, true, &version);
                if (step == 2 && p == 0) accepted++;
                else assert_int_equal(step, 1);
                whole.data[i] ^= (uint8_t)(1 << bit);
            }
        file_write(path, whole.data, whole.count);
        free(whole.data);
        free(path);
    }
    assert_true(accepted < 64); /* one white space for another */
    folder_drop(run);
}

static void named_damage(void **state)
{
    (void)state;
    char *run = folder_make();
    assert_ok(save(run, 5, 1));
    const char *path = path_in(run, "step-00000005/weights.safetensors");
    bytes whole = file_bytes(path);
    whole.data[whole.count - 1] ^= 1;
    file_write(path, whole.data, whole.count);
    qn_checkpoint *checkpoint;
    assert_bad(qn__checkpoint_open_newest(run, true, &checkpoint), "weights.safetensors",
               "tensor \"b\" is damaged");
    assert_null(checkpoint);
    assert_ok(qn__checkpoint_open_newest(run, false, &checkpoint));
    assert_bad(qn__checkpoint_verify(checkpoint), "weights.safetensors", "tensor \"b\" is damaged");
    qn__checkpoint_close(&checkpoint);
    free(whole.data);
    folder_drop(run);
}

static void leftovers(void **state)
{
    (void)state;
    char *run = folder_make();
    int version = 0;
    assert_ok(save(run, 1, 1));
    assert_int_equal(mkdir(path_in(run, "step-00000009.tmp"), 0777), 0);
    file_write(path_in(run, "step-00000009.tmp/weights.safetensors"), "half", 4);
    assert_int_equal(mkdir(path_in(run, "step-00000008"), 0777), 0); /* half deleted: no manifest */
    assert_int_equal(mkdir(path_in(run, "step-8"), 0777), 0);        /* not a name of ours */
    assert_int_equal(mkdir(path_in(run, "step-00000007.bak"), 0777), 0);
    assert_int_equal(symlink("step-00000001", path_in(run, "step-00000010")), 0);
    assert_int_equal(load(run, true, &version), 1);
    assert_ok(save(run, 2, 1));
    assert_true(access(path_in(run, "step-00000009.tmp"), F_OK) != 0);
    assert_int_equal(load(run, true, &version), 2);
    /* killed between the two renames of a rewrite: only the old one has a name */
    assert_int_equal(rename(path_in(run, "step-00000002"), path_in(run, "step-00000002.old")), 0);
    assert_int_equal(load(run, true, &version), 2);
    assert_ok(save(run, 1, 2)); /* saving something else keeps it */
    assert_int_equal(load(run, true, &version), 2);
    assert_ok(save(run, 2, 3));
    assert_int_equal(load(run, true, &version), 2);
    assert_int_equal(version, 3);
    assert_true(access(path_in(run, "step-00000002.old"), F_OK) != 0);
    /* a manifest moved to another step's folder is refused */
    assert_int_equal(rename(path_in(run, "step-00000002"), path_in(run, "step-00000020")), 0);
    assert_int_equal(load(run, true, &version), 1);
    /* trimming never counts a damaged one */
    assert_ok(qn__checkpoint_trim(run, 1, NULL));
    assert_int_equal(load(run, true, &version), 1);
    folder_drop(run);
}

static bool there(const char *run, int64_t step)
{
    char name[64];
    snprintf(name, sizeof name, "step-%08lld", (long long)step);
    return access(path_in(run, name), F_OK) == 0;
}

/* The last two and the lowest: found in the manifests each time, by whoever trims. */
static void best_is_kept(void **state)
{
    (void)state;
    char *run = folder_make();
    const int versions[] = {5, 2, 4, 3, 6, 2, 7, 8};
    const int64_t best[] = {1, 2, 2, 2, 2, 6, 6, 6};
    for (int64_t step = 1; step <= 8; step++) {
        assert_ok(save(run, step, versions[step - 1]));
        assert_ok(qn__checkpoint_trim(run, 2, "version"));
        for (int64_t other = 1; other <= step; other++)
            if (there(run, other) != (other >= step - 1 || other == best[step - 1]))
                fail_msg("after step %lld, step %lld", (long long)step, (long long)other);
    }
    /* a damaged one is no best one */
    assert_int_equal(truncate(path_in(run, "step-00000006/weights.safetensors"), 100), 0);
    assert_ok(save(run, 9, 9));
    assert_ok(qn__checkpoint_trim(run, 2, "version"));
    assert_true(!there(run, 6) && there(run, 7) && there(run, 8) && there(run, 9));
    assert_ok(qn__checkpoint_trim(run, 1, "nothing"));
    assert_true(!there(run, 7) && !there(run, 8) && there(run, 9));
    folder_drop(run);
}

/* Files that killed writers left, by the process in their names; nothing else is touched. */
static void sweeping(void **state)
{
    (void)state;
    char *run = folder_make(), mine[64], parents[64];
    snprintf(mine, sizeof mine, "config.json.tmp-%ld", (long)getpid());
    snprintf(parents, sizeof parents, "model.safetensors.tmp-%ld", (long)getppid());
    const struct {
        const char *name;
        bool stays;
    } files[] = {{"model.safetensors", true},
                 {"model.safetensors.tmp-999999999", false},
                 {mine, false},
                 {parents, true},
                 {"notes.tmp-12x", true},
                 {"notes.tmp", true},
                 {".tmp-999999999", true},
                 {"tmp-999999999", true},
                 {"a.tmp-9999999999", true}};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        file_write(path_in(run, files[i].name), "x", 1);
    qn__folder_sweep(run);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if ((access(path_in(run, files[i].name), F_OK) == 0) != files[i].stays)
            fail_msg("%s %s", files[i].name, files[i].stays ? "is gone" : "is still there");
    qn__folder_sweep(path_in(run, "no such folder"));
    folder_drop(run);
}

static void only_damaged(void **state)
{
    (void)state;
    char *run = folder_make();
    qn_checkpoint *checkpoint;
    assert_int_equal(mkdir(path_in(run, "step-00000008"), 0777), 0);
    assert_bad(qn__checkpoint_open_newest(run, false, &checkpoint), "step-00000008",
               "none of 1 checkpoints can be used");
    folder_drop(run);
}

/* What a manifest may not say, whatever its hash: paths. */
static void hostile_names(void **state)
{
    (void)state;
    static const char *const names[] = {"../weights.safetensors", "/etc/passwd", "a/b", "..", ""};
    char *run = folder_make();
    qn_checkpoint_writer *writer;
    qn_safetensors_writer *payload;
    assert_ok(qn__checkpoint_begin(run, 1, &writer));
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(qn__checkpoint_payload(writer, names[i], &payload), QN_BAD_ARGUMENT);
    assert_int_equal(qn__checkpoint_payload(writer, "MANIFEST.json", &payload), QN_BAD_ARGUMENT);
    json_t *records = json_pack("[{s:s, s:i, s:s, s:{}}]", "name", "../x", "bytes", 0, "hash",
                                "0123456789abcdef", "tensors");
    json_t *object = json_object();
    qn_checkpoint *checkpoint;
    assert_ok(qn__checkpoint_add_records(writer, records));
    assert_ok(qn__checkpoint_commit(&writer, object));
    assert_bad(qn__checkpoint_open_newest(run, false, &checkpoint), "MANIFEST.json",
               "not a plain file name");
    json_decref(records);
    json_decref(object);
    folder_drop(run);
}

/* Failing at call n: once (a full disk, an I/O error), or from then on (a kill: nothing that the
 * process would do afterwards happens). */
static qn_file_ops real;
static long calls, fail_at;
static bool fail_on;

static bool failing(void)
{
    calls++;
    if (calls != fail_at && !(fail_on && calls > fail_at)) return false;
    errno = ENOSPC;
    return true;
}

static int f_create(void *user, const char *path)
{
    return failing() ? -1 : real.create(user, path);
}

/* A write that fails has written half. */
static long f_write(void *user, int fd, const void *from, size_t count, uint64_t offset)
{
    if (!failing()) return real.write(user, fd, from, count, offset);
    if (!fail_on || calls == fail_at) (void)real.write(user, fd, from, count / 2, offset);
    errno = ENOSPC;
    return -1;
}

static int f_sync(void *user, int fd)
{
    return failing() ? -1 : real.sync(user, fd);
}

static int f_close(void *user, int fd)
{
    int result = real.close(user, fd); /* a kill closes too */
    return failing() ? -1 : result;
}

static int f_rename(void *user, const char *from, const char *to)
{
    return failing() ? -1 : real.rename(user, from, to);
}

static int f_make_folder(void *user, const char *path)
{
    return failing() ? -1 : real.make_folder(user, path);
}

static int f_remove_file(void *user, const char *path)
{
    return failing() ? -1 : real.remove_file(user, path);
}

static int f_remove_folder(void *user, const char *path)
{
    return failing() ? -1 : real.remove_folder(user, path);
}

static int f_sync_folder(void *user, const char *path)
{
    return failing() ? -1 : real.sync_folder(user, path);
}

/* Save `step` over a run that has steps 1 and 2, with call n failing, for every n. What loads is
 * the checkpoint before or the new one, whole; if the save said it worked, the new one. */
static long fail_everywhere(int64_t step, bool from_then_on)
{
    static const qn_file_ops failing_ops = {
        .create = f_create,
        .write = f_write,
        .sync = f_sync,
        .close = f_close,
        .rename = f_rename,
        .make_folder = f_make_folder,
        .remove_file = f_remove_file,
        .remove_folder = f_remove_folder,
        .sync_folder = f_sync_folder,
    };
    real = *qn__file_ops();
    fail_on = from_then_on;
    for (fail_at = 1;; fail_at++) {
        char *run = folder_make();
        int version = 0;
        assert_ok(save(run, 1, 1));
        assert_ok(save(run, 2, 1));
        calls = 0;
        qn__file_ops_set(&failing_ops);
        qn_status status = save(run, step, 2);
        qn__file_ops_set(NULL);
        int64_t loaded = load(run, true, &version);
        assert_true(loaded == step || loaded == 2);
        if (loaded == 2 && step != 2) assert_int_equal(version, 1);
        if (status == QN_OK) assert_true(loaded == step && version == 2);
        else assert_int_equal(status, QN_CANNOT_WRITE);
        if (status != QN_OK && !from_then_on) { /* nothing half-written is left to see */
            char name[64];
            snprintf(name, sizeof name, "step-%08d.tmp/MANIFEST.json", (int)step);
            assert_true(access(path_in(run, name), F_OK) != 0);
        }
        assert_ok(save(run, step, 3)); /* the next save works, whatever was left */
        assert_int_equal(load(run, true, &version), step);
        assert_int_equal(version, 3);
        bool done = calls < fail_at;
        folder_drop(run);
        if (done) return fail_at - 1;
    }
}

static void fail_at_every_call(void **state)
{
    (void)state;
    long points = 0;
    points += fail_everywhere(3, false);
    points += fail_everywhere(3, true);
    points += fail_everywhere(2, false);
    points += fail_everywhere(2, true);
    print_message("%ld points of failure\n", points);
    assert_true(points > 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),         cmocka_unit_test(two_ranks),
        cmocka_unit_test(truncation),         cmocka_unit_test(bit_flips),
        cmocka_unit_test(named_damage),       cmocka_unit_test(leftovers),
        cmocka_unit_test(best_is_kept),       cmocka_unit_test(sweeping),
        cmocka_unit_test(only_damaged),       cmocka_unit_test(hostile_names),
        cmocka_unit_test(fail_at_every_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
