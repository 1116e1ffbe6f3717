/* safetensors: round trips, every lie a header can tell, truncation, flips, a full disk. */
#include "file_support.h"

#include "file/safetensors.h"
#include "file/writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

static bytes with_header(const char *json, size_t data)
{
    bytes file = {0};
    put_u64(&file, strlen(json));
    put_text(&file, json);
    put_zeros(&file, data);
    return file;
}

/* From a block of exactly its size, so that the sanitizer sees a byte too many. */
static void expect(bytes *file, const char *part)
{
    qn_safetensors *st;
    uint8_t *exact = malloc(file->count ? file->count : 1);
    if (file->count) memcpy(exact, file->data, file->count);
    if (part) {
        assert_bad(qn__safetensors_parse(exact, file->count, "made.st", &st), "made.st", part);
        assert_null(st);
    } else {
        assert_ok(qn__safetensors_parse(exact, file->count, "made.st", &st));
    }
    qn__safetensors_close(&st);
    free(exact);
    free(file->data);
    *file = (bytes){0};
}

#define T(dtype, shape, offsets)                                                                   \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define ONE(entry) "{\"t\":" entry "}"

static const struct {
    const char *json;
    size_t data;
    const char *part; /* NULL: good */
} cases[] = {
    {"{}", 0, NULL},
    {"{}   ", 0, NULL},
    {"{\"__metadata__\":{\"format\":\"pt\"}}", 0, NULL},
    {ONE(T("F32", "[2,3]", "[0,24]")), 24, NULL},
    {ONE(T("F32", "[]", "[0,4]")), 4, NULL},
    {ONE(T("F32", "[0,3]", "[0,0]")), 0, NULL},
    {ONE(T("F4", "[2]", "[0,1]")), 1, NULL},
    {ONE(T("F8_E4M3", "[5]", "[0,5]")), 5, NULL},
    {"{\"b\":" T("U8", "[3]", "[2,5]") ",\"a\":" T("F16", "[1]", "[0,2]") "}", 5, NULL},
    {"{\"b\":" T("U8", "[3]", "[2,5]") ",\"e\":" T("F16", "[0]", "[2,2]") ",\"a\":" T(
         "F16", "[1]", "[0,2]") "}",
     5, NULL},
    {"{}", 1, "after the last tensor"},
    {"[]", 0, "'{'"},
    {" {}", 0, "'{'"},
    {"{", 0, "header of"}, /* too short to be one: reported below, as its length is 1 */
    {"{,}", 0, "not valid JSON"},
    {"{}x", 0, "not valid JSON"},
    {"{\"t\":1}", 0, "not an object"},
    {"{\"t\":{}}", 0, "\"dtype\" is missing"},
    {"{\"t\":{\"dtype\":\"F32\",\"data_offsets\":[0,0]}}", 0, "\"shape\" is not a list"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "data_offsets"},
    {ONE(T("F31", "[1]", "[0,4]")), 4, "dtype \"F31\""},
    {ONE(T("f32", "[1]", "[0,4]")), 4, "dtype \"f32\""},
    {ONE(T("F32", "[-1]", "[0,4]")), 4, "a dimension"},
    {ONE(T("F32", "[1.0]", "[0,4]")), 4, "a dimension"},
    {ONE(T("F32", "[\"1\"]", "[0,4]")), 4, "a dimension"},
    {ONE(T("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]")), 4, "9 dimensions"},
    {ONE(T("F32", "[4294967296,4294967296]", "[0,4]")), 4, "larger than 2^60"},
    {ONE(T("F32", "[4294967296,4294967296,0]", "[0,0]")), 0, "larger than 2^60"},
    {ONE(T("F32", "[9223372036854775807]", "[0,4]")), 4, "larger than 2^60"},
    {ONE(T("F32", "[99999999999999999999]", "[0,4]")), 4, "a dimension"},
    {ONE(T("F4", "[3]", "[0,2]")), 2, "whole bytes"},
    {ONE(T("F32", "[1]", "[0,5]")), 5, "has 5 bytes, but its shape needs 4"},
    {ONE(T("F32", "[1]", "[0,4]")), 3, "truncated"},
    {ONE(T("F32", "[1]", "[4,0]")), 4, "[4, 0)"},
    {ONE(T("F32", "[1]", "[-4,0]")), 4, "[-4, 0)"},
    {ONE(T("F32", "[1]", "[0]")), 4, "two whole numbers"},
    {ONE(T("F32", "[1]", "[0,4,8]")), 4, "two whole numbers"},
    {ONE(T("F32", "[1]", "[0,4.0]")), 4, "two whole numbers"},
    {ONE(T("F32", "[1]", "[0,9223372036854775807]")), 4, "outside the 4 bytes"},
    {ONE(T("F32", "[1]", "[1,5]")), 5, "leaves a hole"},
    {ONE(T("F32", "[1]", "[0,4]")), 5, "1 bytes after the last tensor"},
    {"{\"a\":" T("U8", "[2]", "[0,2]") ",\"b\":" T("U8", "[2]", "[1,3]") "}", 3, "overlaps"},
    {"{\"a\":" T("U8", "[2]", "[0,2]") ",\"b\":" T("U8", "[2]", "[0,2]") "}", 2, "overlaps"},
    {"{\"a\":" T("U8", "[2]", "[0,2]") ",\"b\":" T("U8", "[2]", "[3,5]") "}", 5, "leaves a hole"},
    {"{\"a\":" T("U8", "[1]", "[0,1]") ",\"a\":" T("U8", "[1]", "[1,2]") "}", 2, "duplicate"},
    {"{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "duplicate"},
    {"{\"__metadata__\":[]}", 0, "not an object"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "not a string"},
    {"{\"a\\nb\":" T("U8", "[1]", "[0,1]") "}", 1, "control character"},
    {"{\"a\\u0000b\":" T("U8", "[1]", "[0,1]") "}", 1, "not valid JSON"},
    {"{\"\xff\":" T("U8", "[1]", "[0,1]") "}", 1, "not valid JSON"},
    {"{\"\xc0\xaf\":" T("U8", "[1]", "[0,1]") "}", 1, "not valid JSON"},
};

static void header_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bytes f = with_header(cases[i].json, cases[i].data);
        if (strcmp(cases[i].json, "{") == 0) expect(&f, "");
        else expect(&f, cases[i].part);
    }
}

static void length_cases(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {3, 100, 100000001, UINT64_MAX, UINT64_MAX - 7, 1ULL << 63};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        bytes f = with_header("{}", 0);
        memcpy(f.data, &lengths[i], 8);
        expect(&f, "a header of");
    }
    bytes f = with_header("{}", 0);
    f.data[0] = 0;
    expect(&f, "'{'");
    bytes deep = {0}; /* nesting is recursion in a parser */
    put_u64(&deep, 20001);
    put_text(&deep, "{");
    for (int i = 0; i < 20000; i++) put_text(&deep, "[");
    expect(&deep, "nested deeper");
}

static void fill(uint8_t *data, size_t count, unsigned seed)
{
    for (size_t i = 0; i < count; i++) data[i] = (uint8_t)((i * 2654435761u + seed) >> 5);
}

/* Four tensors, one of them empty, one a scalar; bytes in odd pieces. */
static qn_status write_sample(const char *path, size_t piece)
{
    qn_safetensors_writer *w = NULL;
    uint8_t data[4096];
    static const struct {
        const char *name;
        qn_dtype dtype;
        qn_shape shape;
        size_t count;
    } tensors[] = {
        {"a.weight", QN_F32, {2, {10, 20}}, 800}, {"nothing", QN_BF16, {2, {0, 4}}, 0},
        {"step", QN_I32, {0}, 4},                 {"b", QN_BF16, {3, {7, 3, 2}}, 84},
    };
    qn_status status = qn__safetensors_writer_create(path, &w);
    if (status == QN_OK) status = qn__safetensors_writer_meta(w, "format", "pt");
    for (size_t i = 0; i < 4 && status == QN_OK; i++)
        status = qn__safetensors_writer_declare(w, tensors[i].name, tensors[i].dtype,
                                                &tensors[i].shape);
    for (size_t i = 0; i < 4 && status == QN_OK; i++) {
        fill(data, tensors[i].count, (unsigned)i);
        for (size_t at = 0; at < tensors[i].count && status == QN_OK; at += piece) {
            size_t count = tensors[i].count - at < piece ? tensors[i].count - at : piece;
            status = qn__safetensors_writer_add(w, tensors[i].name, data + at, count);
        }
    }
    if (status == QN_OK) return qn__safetensors_writer_finish(&w);
    qn__safetensors_writer_destroy(&w);
    return status;
}

static size_t entries_in(const char *folder)
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir));) count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void round_trip(void **state)
{
    (void)state;
    char *folder = folder_make();
    const char *path = path_in(folder, "x.safetensors");
    static const size_t pieces[] = {1, 7, 800, 4096};
    for (size_t p = 0; p < 4; p++) {
        qn_safetensors *st;
        uint8_t data[1024];
        assert_ok(write_sample(path, pieces[p]));
        assert_int_equal(entries_in(folder), 1);
        assert_ok(qn__safetensors_open(path, &st));
        assert_int_equal(qn__safetensors_count(st), 4);
        assert_string_equal(qn__safetensors_meta(st, "format"), "pt");
        assert_null(qn__safetensors_meta(st, "other"));
        const qn_range *a = qn__safetensors_find(st, "a.weight");
        assert_non_null(a);
        assert_true(a->dtype == QN_F32 && a->rank == 2 && a->dim[1] == 20 && a->bytes == 800);
        fill(data, 800, 0);
        assert_memory_equal(a->data, data, 800);
        assert_int_equal((uintptr_t)a->data % 64, 0);
        const qn_range *b = qn__safetensors_find(st, "b");
        fill(data, 84, 3);
        assert_memory_equal(b->data, data, 84);
        qn_desc desc;
        assert_ok(qn__range_desc(b, "x", &desc));
        assert_true(desc.dtype == QN_BF16 && desc.shape.rank == 3 && desc.shape.dim[0] == 7);
        assert_int_equal(qn__safetensors_find(st, "step")->rank, 0);
        assert_null(qn__safetensors_find(st, "nothing")->data);
        assert_null(qn__safetensors_find(st, "c"));
        qn__safetensors_close(&st);
    }
    folder_drop(folder);
}

static void not_ours(void **state)
{
    (void)state;
    bytes f = with_header(ONE(T("F8_E4M3", "[4]", "[0,4]")), 4);
    qn_safetensors *st;
    qn_desc desc;
    assert_ok(qn__safetensors_parse(f.data, f.count, "made.st", &st));
    const qn_range *t = qn__safetensors_at(st, 0);
    assert_string_equal(t->dtype_name, "F8_E4M3");
    assert_int_equal(t->dtype, QN_DTYPE_COUNT);
    assert_int_equal(qn__range_desc(t, "made.st", &desc), QN_UNSUPPORTED);
    assert_non_null(strstr(qn_last_error(), "F8_E4M3[4]"));
    qn__safetensors_close(&st);
    free(f.data);
}

static void writer_mistakes(void **state)
{
    (void)state;
    char *folder = folder_make();
    const char *path = path_in(folder, "x.safetensors");
    qn_safetensors_writer *w;
    qn_shape four = qn_shape_make(1, 4);
    uint8_t data[64] = {0};
    assert_ok(qn__safetensors_writer_create(path, &w));
    assert_ok(qn__safetensors_writer_declare(w, "a", QN_F32, &four));
    assert_int_equal(qn__safetensors_writer_declare(w, "a", QN_F32, &four), QN_BAD_ARGUMENT);
    assert_int_equal(qn__safetensors_writer_declare(w, "__metadata__", QN_F32, &four),
                     QN_BAD_ARGUMENT);
    assert_ok(qn__safetensors_writer_declare(w, "b", QN_F32, &four));
    assert_int_equal(qn__safetensors_writer_add(w, "b", data, 4), QN_BAD_ARGUMENT);
    assert_int_equal(qn__safetensors_writer_add(w, "a", data, 17), QN_BAD_ARGUMENT);
    assert_int_equal(qn__safetensors_writer_declare(w, "c", QN_F32, &four), QN_BAD_ARGUMENT);
    assert_ok(qn__safetensors_writer_add(w, "a", data, 16));
    assert_ok(qn__safetensors_writer_add(w, "b", data, 15));
    assert_int_equal(qn__safetensors_writer_finish(&w), QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "\"b\" lacks 1 bytes"));
    assert_null(w);
    assert_int_equal(entries_in(folder), 0);
    assert_int_equal(qn__safetensors_writer_create("/nonexistent/x", &w), QN_CANNOT_WRITE);
    folder_drop(folder);
}

static void truncation(void **state)
{
    (void)state;
    char *folder = folder_make();
    const char *path = path_in(folder, "x.safetensors");
    assert_ok(write_sample(path, 4096));
    bytes f = file_bytes(path);
    for (size_t count = 0; count < f.count; count++) {
        bytes cut = {0};
        put(&cut, f.data, count);
        expect(&cut, "");
    }
    for (size_t i = 0; i < f.count - 888; i++) /* every bit of the header: no crash, no over-read */
        for (int bit = 0; bit < 8; bit++) {
            qn_safetensors *st;
            f.data[i] ^= (uint8_t)(1 << bit);
            if (qn__safetensors_parse(f.data, f.count, "made.st", &st) == QN_OK) {
                uint64_t sum = 0;
                for (size_t t = 0; t < qn__safetensors_count(st); t++)
                    sum += qn__safetensors_at(st, t)->bytes;
                assert_true(sum == 888);
            }
            qn__safetensors_close(&st);
            f.data[i] ^= (uint8_t)(1 << bit);
        }
    free(f.data);
    folder_drop(folder);
}

/* The disk is full: /dev/full behind the same system calls. */
static int create_full(void *user, const char *path)
{
    (void)user;
    FILE *made = fopen(path, "wb"); /* so that there is something to clean up */
    if (made) fclose(made);
    return open("/dev/full", O_WRONLY);
}

static void full_disk(void **state)
{
    (void)state;
    char *folder = folder_make();
    const char *path = path_in(folder, "x.safetensors");
    assert_ok(write_sample(path, 4096));
    bytes before = file_bytes(path);
    qn_file_ops ops = *qn__file_ops();
    ops.create = create_full;
    qn__file_ops_set(&ops);
    qn_status status = write_sample(path, 4096);
    qn__file_ops_set(NULL);
    assert_int_equal(status, QN_CANNOT_WRITE);
    assert_non_null(strstr(qn_last_error(), "x.safetensors: write: No space left"));
    assert_int_equal(entries_in(folder), 1);
    bytes after = file_bytes(path);
    assert_int_equal(before.count, after.count);
    assert_memory_equal(before.data, after.data, before.count);
    free(before.data);
    free(after.data);
    folder_drop(folder);
}

static void file_size_limit(void **state)
{
    (void)state;
    char *folder = folder_make();
    const char *path = path_in(folder, "x.safetensors");
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t limit = 0; limit < 1200; limit += 100) { /* the file has 1272 bytes */
        small = old;
        small.rlim_cur = limit;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        qn_status status = write_sample(path, 4096);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_int_equal(status, QN_CANNOT_WRITE);
        assert_int_equal(entries_in(folder), 0);
    }
    signal(SIGXFSZ, SIG_DFL);
    assert_ok(write_sample(path, 4096));
    folder_drop(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_cases),    cmocka_unit_test(length_cases),
        cmocka_unit_test(round_trip),      cmocka_unit_test(not_ours),
        cmocka_unit_test(writer_mistakes), cmocka_unit_test(truncation),
        cmocka_unit_test(full_disk),       cmocka_unit_test(file_size_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
