/* Writing GGUF: what is written is read back, bit for bit; shards; what a writer refuses; a disk
 * that fails at any call; shards that lie. */
#include "file_support.h"

#include "file/gguf_write.h"
#include "file/writer.h"

#include <dirent.h>
#include <errno.h>

enum { ROWS = 3, COLS = 64 };

static void fill(uint8_t *to, size_t count, unsigned seed)
{
    for (size_t i = 0; i < count; i++) to[i] = (uint8_t)(i * 31 + seed * 17 + 5);
}

static const struct {
    const char *name;
    qn_ggml_type type;
    int rank;
    int64_t ne[4];
    size_t bytes;
} tensors[] = {
    {"token_embd.weight", QN_GGML_F16, 2, {COLS, ROWS}, COLS *ROWS * 2},
    {"empty", QN_GGML_F32, 1, {0}, 0},
    {"blk.0.ffn_up.weight", QN_GGML_Q8_0, 2, {COLS, ROWS}, COLS / 32 * 34 * ROWS},
    {"scalar", QN_GGML_F32, 0, {0}, 4},
    {"blk.0.ffn_gate_exps.weight", QN_GGML_Q4_0, 3, {32, 2, 5}, 18 * 10},
    {"end", QN_GGML_BF16, 4, {3, 1, 2, 1}, 12},
};
enum { TENSORS = sizeof tensors / sizeof tensors[0] };

static qn_status write_values(qn_gguf_writer *w)
{
    const float scores[] = {1.5f, -0.0f, 3e38f};
    const int32_t types[] = {3, -1};
    qn_status s = qn__gguf_writer_text(w, "general.architecture", "llama");
    if (s == QN_OK) s = qn__gguf_writer_u32(w, "llama.block_count", 4000000000u);
    if (s == QN_OK) s = qn__gguf_writer_f32(w, "eps", 1e-5f);
    if (s == QN_OK) s = qn__gguf_writer_bool(w, "yes", true);
    if (s == QN_OK) s = qn__gguf_writer_string(w, "text", "a\0b", 3);
    if (s == QN_OK) s = qn__gguf_writer_array(w, "scores", QN_GGUF_F32, scores, 3);
    if (s == QN_OK) s = qn__gguf_writer_array(w, "types", QN_GGUF_I32, types, 2);
    if (s == QN_OK) s = qn__gguf_writer_strings(w, "words", 3);
    if (s == QN_OK) s = qn__gguf_writer_element(w, "one", 3);
    if (s == QN_OK) s = qn__gguf_writer_element(w, "", 0);
    if (s == QN_OK) s = qn__gguf_writer_element(w, "\xff\n", 2);
    if (s == QN_OK) s = qn__gguf_writer_strings(w, "none", 0);
    return s;
}

/* In pieces of `piece` bytes. */
static qn_status write_file(const char *path, uint64_t shard, uint32_t alignment, size_t piece)
{
    qn_gguf_writer *w;
    uint8_t data[1024];
    qn_status s = qn__gguf_writer_create(path, shard, &w);
    if (s != QN_OK) return s;
    if (alignment) s = qn__gguf_writer_u32(w, "general.alignment", alignment);
    if (s == QN_OK) s = write_values(w);
    for (int i = 0; i < TENSORS && s == QN_OK; i++)
        s = qn__gguf_writer_tensor(w, tensors[i].name, tensors[i].type, tensors[i].rank,
                                   tensors[i].ne);
    for (int i = 0; i < TENSORS && s == QN_OK; i++) {
        fill(data, tensors[i].bytes, (unsigned)i);
        for (size_t at = 0; at < tensors[i].bytes && s == QN_OK; at += piece)
            s = qn__gguf_writer_add(w, tensors[i].name, data + at,
                                    tensors[i].bytes - at < piece ? tensors[i].bytes - at : piece);
    }
    if (s == QN_OK) return qn__gguf_writer_finish(&w);
    qn__gguf_writer_destroy(&w);
    return s;
}

static void check_file(const char *path)
{
    qn_gguf *g;
    uint8_t data[1024];
    int64_t integer;
    size_t length;
    double real;
    const qn_gguf_value *value;
    const char *text;
    assert_ok(qn__gguf_open(path, &g));
    assert_int_equal(qn__gguf_tensor_count(g), TENSORS);
    for (size_t i = 0; i < TENSORS; i++) {
        const qn_gguf_tensor *tensor = qn__gguf_tensor(g, tensors[i].name);
        fill(data, tensors[i].bytes, (unsigned)i);
        assert_non_null(tensor);
        assert_ptr_equal(tensor, qn__gguf_tensor_at(g, i));
        assert_true(tensor->type == tensors[i].type && tensor->rank == tensors[i].rank);
        assert_true(tensor->bytes == tensors[i].bytes);
        for (int d = 0; d < tensor->rank; d++) assert_true(tensor->ne[d] == tensors[i].ne[d]);
        if (tensor->bytes) assert_memory_equal(tensor->data, data, tensors[i].bytes);
        assert_int_equal((uintptr_t)tensor->data % 8, 0);
    }
    assert_ok(qn__gguf_i64(g, "llama.block_count", true, 0, UINT32_MAX, &integer));
    assert_true(integer == 4000000000);
    assert_ok(qn__gguf_f64(g, "eps", true, &real));
    assert_true(real == (double)1e-5f);
    assert_ok(qn__gguf_string(g, "text", true, &text, &length));
    assert_true(length == 3);
    assert_memory_equal(text, "a\0b", 3);
    assert_ok(qn__gguf_array(g, "scores", true, QN_GGUF_F32, &value));
    assert_true(value->count == 3 && qn__gguf_element_f64(value, 0) == 1.5);
    assert_ok(qn__gguf_array(g, "types", true, QN_GGUF_I32, &value));
    assert_true(value->count == 2 && qn__gguf_element_i64(value, 1) == -1);
    assert_ok(qn__gguf_array(g, "words", true, QN_GGUF_STRING, &value));
    assert_true(value->count == 3);
    assert_memory_equal(qn__gguf_element_string(value, 2, &length), "\xff\n", 2);
    qn__gguf_close(&g);
}

static int names_in(const char *folder)
{
    int count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void one_file(void **state)
{
    (void)state;
    static const uint32_t alignments[] = {0, 8, 32, 64, 4096};
    char *folder = folder_make();
    for (size_t i = 0; i < 5; i++)
        for (size_t piece = 1; piece < 2000; piece = piece * 3 + 1) {
            assert_ok(write_file(path_in(folder, "m.gguf"), 0, alignments[i], piece));
            check_file(path_in(folder, "m.gguf"));
        }
    assert_int_equal(names_in(folder), 1);
    folder_drop(folder);
}

/* Every entry of one file copied into another gives the same file. */
static void copies(void **state)
{
    (void)state;
    char *folder = folder_make();
    qn_gguf *g;
    qn_gguf_writer *w;
    assert_ok(write_file(path_in(folder, "a.gguf"), 0, 64, 100));
    assert_ok(qn__gguf_open(path_in(folder, "a.gguf"), &g));
    assert_ok(qn__gguf_writer_create(path_in(folder, "b.gguf"), 0, &w));
    for (size_t i = 0; i < qn__gguf_value_count(g); i++)
        assert_ok(qn__gguf_writer_copy(w, qn__gguf_value_at(g, i)));
    for (size_t i = 0; i < qn__gguf_tensor_count(g); i++) {
        const qn_gguf_tensor *t = qn__gguf_tensor_at(g, i);
        assert_ok(qn__gguf_writer_tensor(w, t->name, t->type, t->rank, t->ne));
    }
    for (size_t i = 0; i < qn__gguf_tensor_count(g); i++) {
        const qn_gguf_tensor *t = qn__gguf_tensor_at(g, i);
        assert_ok(qn__gguf_writer_add(w, t->name, t->data, t->bytes));
    }
    assert_ok(qn__gguf_writer_finish(&w));
    qn__gguf_close(&g);
    bytes a = file_bytes(path_in(folder, "a.gguf")), b = file_bytes(path_in(folder, "b.gguf"));
    assert_int_equal(a.count, b.count);
    assert_memory_equal(a.data, b.data, a.count);
    free(a.data);
    free(b.data);
    folder_drop(folder);
}

static void no_tensors(void **state)
{
    (void)state;
    char *folder = folder_make();
    qn_gguf_writer *w;
    qn_gguf *g;
    assert_ok(qn__gguf_writer_create(path_in(folder, "v.gguf"), 0, &w));
    assert_ok(write_values(w));
    assert_ok(qn__gguf_writer_finish(&w));
    assert_ok(qn__gguf_open(path_in(folder, "v.gguf"), &g));
    assert_int_equal(qn__gguf_value_count(g), 9);
    qn__gguf_close(&g);
    folder_drop(folder);
}

static void shards(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        int files;
    } sizes[] = {{1, 5}, {400, 3}, {700, 2}, {1 << 20, 1}};
    for (size_t i = 0; i < 4; i++)
        for (uint32_t alignment = 0; alignment <= 64; alignment += 64) {
            char *folder = folder_make();
            assert_ok(write_file(path_in(folder, "m.gguf"), sizes[i].bytes, alignment, 77));
            assert_int_equal(names_in(folder), sizes[i].files);
            char *first = sizes[i].files == 1
                              ? strdup(path_in(folder, "m.gguf"))
                              : qn__gguf_shard_path(path_in(folder, "m.gguf"), 0, sizes[i].files);
            check_file(first);
            free(first);
            folder_drop(folder);
        }
}

#define assert_refused(call, part)                                                                 \
    do {                                                                                           \
        assert_int_equal(call, QN_BAD_ARGUMENT);                                                   \
        if (!strstr(qn_last_error(), part))                                                        \
            fail_msg("\"%s\" does not say \"%s\"", qn_last_error(), part);                         \
        qn__gguf_writer_destroy(&w);                                                               \
        assert_ok(qn__gguf_writer_create(path, 0, &w));                                            \
    } while (0)

static void refused(void **state)
{
    (void)state;
    char *folder = folder_make(), name[80];
    const char *path = path_in(folder, "m.gguf");
    qn_gguf_writer *w;
    memset(name, 'n', sizeof name);
    name[64] = 0;
    assert_ok(qn__gguf_writer_create(path, 0, &w));
    assert_refused(qn__gguf_writer_u32(w, "", 1), "0 bytes");
    assert_refused(qn__gguf_writer_u32(w, "a\nb", 1), "byte 0x0a");
    assert_refused(qn__gguf_writer_u32(w, "general.alignment", 48), "power of two");
    assert_ok(qn__gguf_writer_u32(w, "k", 1));
    assert_refused(qn__gguf_writer_text(w, "k", "again"), "\"k\" twice");
    assert_refused(qn__gguf_writer_element(w, "x", 1), "more than its array");
    assert_ok(qn__gguf_writer_strings(w, "k", 2));
    assert_refused(qn__gguf_writer_u32(w, "l", 1), "2 strings");
    assert_refused(qn__gguf_writer_array(w, "l", QN_GGUF_F64, "", 1ULL << 62), "elements");
    assert_refused(qn__gguf_writer_tensor(w, name, QN_GGML_F32, 1, (int64_t[]){4}), "64 bytes");
    assert_refused(qn__gguf_writer_tensor(w, "", QN_GGML_F32, 1, (int64_t[]){4}), "0 bytes");
    assert_refused(qn__gguf_writer_tensor(w, "t", QN_GGML_F32, 5, (int64_t[5]){4}), "5 dimens");
    assert_refused(qn__gguf_writer_tensor(w, "t", (qn_ggml_type)4, 1, (int64_t[]){4}), "type 4");
    assert_refused(qn__gguf_writer_tensor(w, "t", QN_GGML_Q4_K, 1, (int64_t[]){32}), "holds 256");
    assert_refused(qn__gguf_writer_tensor(w, "t", QN_GGML_F32, 1, (int64_t[]){-1}), "too large");
    assert_refused(
        qn__gguf_writer_tensor(w, "t", QN_GGML_F32, 2, (int64_t[]){1LL << 40, 1LL << 40}),
        "too large");
    assert_ok(qn__gguf_writer_tensor(w, "t", QN_GGML_F32, 1, (int64_t[]){4}));
    assert_ok(qn__gguf_writer_tensor(w, "t", QN_GGML_F32, 1, (int64_t[]){4}));
    assert_refused(qn__gguf_writer_add(w, "t", "....", 4), "\"t\" twice");
    assert_ok(qn__gguf_writer_tensor(w, "t", QN_GGML_F32, 1, (int64_t[]){1}));
    assert_refused(qn__gguf_writer_add(w, "u", "....", 4), "\"t\" is next");
    assert_ok(qn__gguf_writer_tensor(w, "t", QN_GGML_F32, 1, (int64_t[]){1}));
    assert_refused(qn__gguf_writer_add(w, "t", ".....", 5), "has 4 bytes, not 5");
    assert_ok(qn__gguf_writer_tensor(w, "t", QN_GGML_F32, 1, (int64_t[]){1}));
    assert_ok(qn__gguf_writer_add(w, "t", "..", 2));
    assert_refused(qn__gguf_writer_u32(w, "k", 1), "after the first");
    assert_ok(qn__gguf_writer_tensor(w, "t", QN_GGML_F32, 1, (int64_t[]){1}));
    assert_int_equal(qn__gguf_writer_finish(&w), QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "has 0 of 4 bytes"));
    assert_null(w);
    assert_int_equal(names_in(folder), 0);
    folder_drop(folder);
}

/* ---- a disk that fails ---- */

static int calls_left;
static const qn_file_ops *real;

static long failing_write(void *user, int fd, const void *from, size_t count, uint64_t offset)
{
    if (calls_left-- > 0) return real->write(user, fd, from, count, offset);
    errno = ENOSPC;
    return -1;
}

static int failing_sync(void *user, int fd)
{
    if (calls_left-- > 0) return real->sync(user, fd);
    errno = EIO;
    return -1;
}

static int failing_rename(void *user, const char *from, const char *to)
{
    if (calls_left-- > 0) return real->rename(user, from, to);
    errno = EIO;
    return -1;
}

/* Whichever call fails, no temporary file stays and no first shard leads to half a model. */
static void disk(void **state)
{
    (void)state;
    real = qn__file_ops();
    qn_file_ops failing = *real;
    failing.write = failing_write;
    failing.sync = failing_sync;
    failing.rename = failing_rename;
    for (int shard = 0; shard < 2; shard++) {
        qn_status status = QN_CANNOT_WRITE;
        for (int n = 0; status != QN_OK; n++) {
            char *folder = folder_make();
            char *first = shard ? qn__gguf_shard_path(path_in(folder, "m.gguf"), 0, 3)
                                : strdup(path_in(folder, "m.gguf"));
            calls_left = n;
            qn__file_ops_set(&failing);
            status = write_file(path_in(folder, "m.gguf"), shard ? 400 : 0, 0, 100);
            qn__file_ops_set(NULL);
            if (status == QN_OK) check_file(first);
            else {
                assert_int_equal(status, QN_CANNOT_WRITE);
                assert_int_not_equal(access(first, F_OK), 0);
                if (!shard) assert_int_equal(names_in(folder), 0);
            }
            assert_true(n < 200);
            free(first);
            folder_drop(folder);
        }
    }
}

/* ---- shards that lie ---- */

static void put_key(bytes *to, const char *key, uint32_t type)
{
    put_u64(to, strlen(key));
    put_text(to, key);
    put_u32(to, type);
}

/* A shard with one tensor of one float; tensors < 0: without that key; no < 0: without split.no. */
static void put_shard(const char *path, const char *name, int no, int count, int tensors_said)
{
    bytes f = {0};
    put_text(&f, "GGUF");
    put_u32(&f, 3);
    put_u64(&f, 1);
    put_u64(&f, (uint64_t)(1 + (no >= 0) + (tensors_said >= 0)));
    put_key(&f, "split.count", QN_GGUF_U16);
    put(&f, &(uint16_t){(uint16_t)count}, 2);
    if (no >= 0) {
        put_key(&f, "split.no", QN_GGUF_U16);
        put(&f, &(uint16_t){(uint16_t)no}, 2);
    }
    if (tensors_said >= 0) {
        put_key(&f, "split.tensors.count", QN_GGUF_I32);
        put_u32(&f, (uint32_t)tensors_said);
    }
    put_u64(&f, strlen(name));
    put_text(&f, name);
    put_u32(&f, 0);
    put_u32(&f, QN_GGML_F32);
    put_u64(&f, 0);
    put_zeros(&f, 32 - f.count % 32);
    put_zeros(&f, 32);
    file_write(path, f.data, f.count);
    free(f.data);
}

static void lying_shards(void **state)
{
    (void)state;
    qn_gguf *g;
    char *folder = folder_make();
    char *one = strdup(path_in(folder, "m-00001-of-00002.gguf")),
         *two = strdup(path_in(folder, "m-00002-of-00002.gguf"));
    put_shard(one, "a", 0, 2, 2);
    assert_int_equal(qn__gguf_open(one, &g), QN_OS_ERROR); /* the second is not there */
    assert_non_null(strstr(qn_last_error(), "m-00002-of-00002.gguf"));
    put_shard(two, "b", 1, 2, 2);
    assert_ok(qn__gguf_open(one, &g));
    assert_int_equal(qn__gguf_tensor_count(g), 2);
    assert_int_equal(qn__gguf_file_count(g), 2);
    assert_non_null(qn__gguf_tensor(g, "b"));
    qn__gguf_close(&g);
    assert_bad(qn__gguf_open(two, &g), two, "is shard 2 of 2: give the first");
    assert_ok(qn__gguf_open_part(two, &g));
    qn__gguf_close(&g);
    put_shard(two, "a", 1, 2, 2);
    assert_bad(qn__gguf_open(one, &g), one, "tensor \"a\" is in two shards");
    assert_null(g);
    put_shard(two, "b", 0, 2, 2);
    assert_bad(qn__gguf_open(one, &g), two, "says it is shard 1 of 2");
    put_shard(two, "b", 1, 3, 2);
    assert_bad(qn__gguf_open(one, &g), two, "says it is shard 2 of 3");
    put_shard(two, "b", -1, 0, -1);
    assert_bad(qn__gguf_open(one, &g), two, "says it is shard 1 of 0");
    file_write(two, "GGUF", 4);
    assert_bad(qn__gguf_open(one, &g), two, "truncated");
    put_shard(two, "b", 1, 2, 2);
    static const int totals[] = {0, 1, 3, INT32_MAX};
    for (size_t i = 0; i < 4; i++) {
        put_shard(one, "a", 0, 2, totals[i]);
        assert_bad(qn__gguf_open(one, &g), one, "they have 2");
    }
    put_shard(one, "a", 0, 2, -1); /* a total that is not said is not checked */
    assert_ok(qn__gguf_open(one, &g));
    qn__gguf_close(&g);
    put_shard(one, "a", -1, 2, 2);
    assert_bad(qn__gguf_open(one, &g), one, "\"split.no\" is missing");
    put_shard(one, "a", 0, 65535, 2); /* a count asks for files, not for memory */
    assert_bad(qn__gguf_open(one, &g), one, "does not end in -00001-of-65535.gguf");
    put_shard(path_in(folder, "other.gguf"), "a", 0, 2, 2);
    assert_bad(qn__gguf_open(path_in(folder, "other.gguf"), &g), "other.gguf", "rename it");
    put_shard(path_in(folder, "alone.gguf"), "a", 0, 1, 1);
    assert_ok(qn__gguf_open(path_in(folder, "alone.gguf"), &g));
    qn__gguf_close(&g);
    free(one);
    free(two);
    folder_drop(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_file),     cmocka_unit_test(copies),  cmocka_unit_test(no_tensors),
        cmocka_unit_test(shards),       cmocka_unit_test(refused), cmocka_unit_test(disk),
        cmocka_unit_test(lying_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
