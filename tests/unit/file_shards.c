/* Token shards: round trips of both kinds, reads across files, damaged headers. */
#include "file_support.h"

#include "file/shards.h"

static int32_t token_at(uint64_t i, qn_shard_kind kind)
{
    uint32_t mixed = (uint32_t)(i * 2654435761u) >> 3;
    return (int32_t)(kind == QN_SHARD_U16 ? mixed % 65536 : mixed % 200000);
}

static void write_shard(const char *path, qn_shard_kind kind, uint64_t begin, size_t count,
                        size_t piece)
{
    qn_shard_writer *w;
    assert_ok(qn__shard_writer_create(path, kind, &w));
    for (size_t at = 0; at < count; at += piece) {
        int32_t tokens[10000];
        size_t here = count - at < piece ? count - at : piece;
        for (size_t i = 0; i < here; i++) tokens[i] = token_at(begin + at + i, kind);
        assert_ok(qn__shard_writer_add(w, tokens, here));
    }
    assert_ok(qn__shard_writer_finish(&w));
}

/* Five shards, two of them empty. */
static void round_trip(void **state)
{
    (void)state;
    static const size_t sizes[] = {1000, 0, 1, 9999, 0};
    for (int k = 0; k < 2; k++) {
        qn_shard_kind kind = (qn_shard_kind)k;
        char *folder = folder_make();
        uint64_t total = 0;
        for (size_t i = 0; i < 5; i++) {
            char name[32];
            snprintf(name, sizeof name, "train_%06zu.bin", i);
            write_shard(path_in(folder, name), kind, total, sizes[i], 7 + 3000 * i);
            total += sizes[i];
        }
        qn_shards *s;
        assert_ok(qn__shards_open(path_in(folder, "train_*.bin"), &s));
        assert_int_equal(qn__shards_files(s), 5);
        assert_int_equal(qn__shards_kind(s), kind);
        assert_int_equal(qn__shards_tokens(s), 11000);
        static const uint64_t starts[] = {0, 1, 999, 1000, 1001, 10999, 11000, 500};
        for (size_t i = 0; i < 8; i++)
            for (size_t count = 0; starts[i] + count <= total; count = count * 3 + 1) {
                int32_t tokens[11000];
                assert_ok(qn__shards_read(s, starts[i], count, tokens));
                for (size_t t = 0; t < count; t++)
                    assert_int_equal(tokens[t], token_at(starts[i] + t, kind));
            }
        int32_t token;
        assert_int_equal(qn__shards_read(s, 11000, 1, &token), QN_BAD_ARGUMENT);
        assert_int_equal(qn__shards_read(s, UINT64_MAX, 1, &token), QN_BAD_ARGUMENT);
        assert_int_equal(qn__shards_read(s, 1, SIZE_MAX, &token), QN_BAD_ARGUMENT);
        qn__shards_close(&s);
        folder_drop(folder);
    }
}

static void header_bytes(void **state)
{
    (void)state;
    char *folder = folder_make();
    const char *path = path_in(folder, "x.bin");
    write_shard(path, QN_SHARD_U16, 0, 3, 3);
    bytes f = file_bytes(path);
    int32_t h[3];
    memcpy(h, f.data, sizeof h);
    assert_int_equal(f.count, 1024 + 6);
    assert_true(h[0] == 20240520 && h[1] == 1 && h[2] == 3);
    free(f.data);
    write_shard(path, QN_SHARD_U32, 0, 3, 3);
    f = file_bytes(path);
    memcpy(h, f.data, sizeof h);
    assert_int_equal(f.count, 1024 + 12);
    assert_true(h[0] == 20240801 && h[1] == 7 && h[2] == 3);
    free(f.data);
    folder_drop(folder);
}

static void damaged(void **state)
{
    (void)state;
    char *folder = folder_make();
    const char *path = path_in(folder, "x.bin");
    qn_shards *s;
    write_shard(path, QN_SHARD_U32, 0, 5, 5);
    bytes f = file_bytes(path);
    for (size_t count = 0; count < f.count; count++) {
        file_write(path, f.data, count);
        assert_bad(qn__shards_open(path, &s), "x.bin", "");
        assert_null(s);
    }
    static const int32_t values[] = {0, -1, 4, 6, INT32_MAX, INT32_MIN, 20240520};
    for (size_t i = 0; i < 3; i++)
        for (size_t v = 0; v < 7; v++) {
            int32_t was;
            memcpy(&was, f.data + 4 * i, 4);
            memcpy(f.data + 4 * i, &values[v], 4);
            file_write(path, f.data, f.count);
            assert_bad(qn__shards_open(path, &s), "x.bin", "");
            memcpy(f.data + 4 * i, &was, 4);
        }
    f.data[f.count - 1] = 0x80; /* a token above any vocabulary */
    file_write(path, f.data, f.count);
    int32_t tokens[5];
    assert_ok(qn__shards_open(path, &s));
    assert_ok(qn__shards_read(s, 0, 4, tokens));
    assert_bad(qn__shards_read(s, 2, 3, tokens), "x.bin", "token 4 is");
    qn__shards_close(&s);
    free(f.data);
    folder_drop(folder);
}

static void mistakes(void **state)
{
    (void)state;
    char *folder = folder_make();
    qn_shards *s;
    qn_shard_writer *w;
    assert_int_equal(qn__shards_open(path_in(folder, "*.bin"), &s), QN_OS_ERROR);
    assert_non_null(strstr(qn_last_error(), "no token shard matches"));
    write_shard(path_in(folder, "a.bin"), QN_SHARD_U16, 0, 3, 3);
    write_shard(path_in(folder, "b.bin"), QN_SHARD_U32, 0, 3, 3);
    assert_bad(qn__shards_open(path_in(folder, "*.bin"), &s), "b.bin", "must be alike");
    static const int32_t wrong[] = {-1, 65536};
    for (size_t i = 0; i < 2; i++) {
        assert_ok(qn__shard_writer_create(path_in(folder, "c.bin"), QN_SHARD_U16, &w));
        assert_int_equal(qn__shard_writer_add(w, &wrong[i], 1), QN_BAD_ARGUMENT);
        qn__shard_writer_destroy(&w);
    }
    assert_int_equal(access(path_in(folder, "c.bin"), F_OK), -1);
    folder_drop(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(header_bytes),
        cmocka_unit_test(damaged),
        cmocka_unit_test(mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
