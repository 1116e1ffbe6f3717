/* GGUF: files that are right, files that lie (llama.cpp's names for its cases where it has them,
 * and the shapes behind the published vulnerabilities), truncation, and real files. */
#include "file_support.h"

#include "file/gguf.h"

static void put_string(bytes *to, const char *text)
{
    put_u64(to, strlen(text));
    put_text(to, text);
}

static bytes header(uint64_t tensors, uint64_t values)
{
    bytes file = {0};
    put_text(&file, "GGUF");
    put_u32(&file, 3);
    put_u64(&file, tensors);
    put_u64(&file, values);
    return file;
}

static void put_key(bytes *to, const char *key, uint32_t type)
{
    put_string(to, key);
    put_u32(to, type);
}

static void put_array(bytes *to, const char *key, uint32_t element, uint64_t count)
{
    put_key(to, key, QN_GGUF_ARRAY);
    put_u32(to, element);
    put_u64(to, count);
}

static void put_alignment(bytes *to, uint32_t alignment)
{
    put_key(to, "general.alignment", QN_GGUF_U32);
    put_u32(to, alignment);
}

/* Dimensions as a list; the rank follows from it. */
#define put_tensor(to, name, type, offset, ...)                                                    \
    put_tensor_line(to, name, type, offset,                                                        \
                    (int)(sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t)),                   \
                    (const uint64_t[]){__VA_ARGS__})

static void put_tensor_line(bytes *to, const char *name, uint32_t type, uint64_t offset, int rank,
                            const uint64_t *ne)
{
    put_string(to, name);
    put_u32(to, (uint32_t)rank);
    for (int i = 0; i < rank; i++) put_u64(to, ne[i]);
    put_u32(to, type);
    put_u64(to, offset);
}

static void pad(bytes *to, size_t alignment)
{
    while (to->count % alignment) put(to, "", 1);
}

/* Parsed from a block of exactly its size, so that the sanitizer sees a byte too many. */
static void expect_bad(bytes *file, const char *part)
{
    qn_gguf *gguf;
    uint8_t *exact = malloc(file->count ? file->count : 1);
    if (file->count) memcpy(exact, file->data, file->count);
    assert_bad(qn__gguf_parse(exact, file->count, "made.gguf", &gguf), "made.gguf", part);
    assert_null(gguf);
    free(exact);
    free(file->data);
    *file = (bytes){0};
}

static void expect_good(bytes *file)
{
    qn_gguf *gguf;
    assert_ok(qn__gguf_parse(file->data, file->count, "made.gguf", &gguf));
    qn__gguf_close(&gguf);
    assert_null(gguf);
    free(file->data);
    *file = (bytes){0};
}

static void header_cases(void **state)
{
    (void)state;
    bytes f = header(0, 0); /* HEADER_EMPTY: no entries, no tensors: fine */
    expect_good(&f);
    f = header(0, 0); /* HEADER_BAD_MAGIC */
    f.data[0] = 'F';
    expect_bad(&f, "begins with 46 47 55 46");
    static const struct {
        uint32_t version;
        const char *part;
    } versions[] = {
        {0, "version 0"},                   /* HEADER_BAD_VERSION_0 */
        {1, "version 1"},                   /* HEADER_BAD_VERSION_1 */
        {4, "version 4"},                   /* HEADER_BAD_VERSION_FUTURE */
        {0x03000000, "big-endian"},
    };
    for (size_t i = 0; i < 4; i++) {
        f = header(0, 0);
        memcpy(f.data + 4, &versions[i].version, 4);
        expect_bad(&f, versions[i].part);
    }
    f = header(0, 0);
    f.data[4] = 2; /* version 2 has the same layout */
    expect_good(&f);
    f = header(0, UINT64_MAX); /* HEADER_BAD_N_KV */
    expect_bad(&f, "cannot lie in 0 bytes");
    f = header(UINT64_MAX, 0); /* HEADER_BAD_N_TENSORS */
    expect_bad(&f, "cannot lie in 0 bytes");
    f = header(0, UINT64_MAX / 48 + 1); /* CVE-2024-25664, 23605: n * sizeof wraps */
    put_zeros(&f, 4096);
    expect_bad(&f, "cannot lie in 4096 bytes");
    f = header(UINT64_MAX / 128 + 1, 0); /* CVE-2024-25666, 21836 */
    put_zeros(&f, 4096);
    expect_bad(&f, "cannot lie in 4096 bytes");
    f = header(0, 1ULL << 31);
    put_zeros(&f, 64);
    expect_bad(&f, "cannot lie");
}

static void key_cases(void **state)
{
    (void)state;
    bytes f = header(0, 1); /* KV_BAD_KEY_SIZE, CVE-2024-25665, 23496: length + 1 wraps */
    put_u64(&f, UINT64_MAX);
    put_zeros(&f, 64);
    expect_bad(&f, "a metadata key of 18446744073709551615 bytes");
    f = header(0, 1);
    put_u64(&f, 65536);
    put_zeros(&f, 70000);
    expect_bad(&f, "a metadata key of 65536 bytes");
    f = header(0, 1); /* KV_EMPTY_KEY */
    put_key(&f, "", QN_GGUF_U32);
    put_u32(&f, 1);
    put_zeros(&f, 8);
    expect_bad(&f, "a metadata key of 0 bytes");
    f = header(0, 1);
    put_key(&f, "a\nb", QN_GGUF_U32);
    put_u32(&f, 1);
    expect_bad(&f, "byte 0x0a");
    f = header(0, 1);
    put_key(&f, "a\xc3\xa9", QN_GGUF_U32);
    put_u32(&f, 1);
    expect_bad(&f, "byte 0xc3");
    f = header(0, 1); /* KV_BAD_TYPE */
    put_key(&f, "a", QN_GGUF_TYPE_COUNT);
    put_u32(&f, 1);
    expect_bad(&f, "has type 13");
    f = header(0, 1);
    put_key(&f, "a", UINT32_MAX);
    put_u32(&f, 1);
    expect_bad(&f, "has type 4294967295");
    f = header(0, 2); /* KV_DUPLICATE_KEY */
    for (int i = 0; i < 2; i++) {
        put_key(&f, "general.name", QN_GGUF_U32);
        put_u32(&f, 1);
    }
    expect_bad(&f, "\"general.name\" occurs twice");
    f = header(0, 1);
    put_key(&f, "a", QN_GGUF_BOOL);
    put(&f, "\2", 1);
    expect_bad(&f, "a bool of 2");
    f = header(0, 1);
    put_array(&f, "a", QN_GGUF_BOOL, 3);
    put(&f, "\0\1\xff", 3);
    expect_bad(&f, "a bool of 255");
}

static void alignment_cases(void **state)
{
    (void)state;
    /* KV_BAD_ALIGN (13), TENSORS_BAD_ALIGN, DATA_BAD_ALIGN; huge; below the specification's 8 */
    static const uint32_t bad[] = {13, 0, 1u << 31, 1u << 21, 4, 48, UINT32_MAX, 1};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bytes f = header(1, 1);
        put_alignment(&f, bad[i]);
        put_tensor(&f, "t", QN_GGML_F32, 0, 4);
        pad(&f, 64);
        put_zeros(&f, 64);
        expect_bad(&f, "general.alignment is");
    }
    bytes f = header(0, 1); /* KV_WRONG_TYPE_ALIGN */
    put_key(&f, "general.alignment", QN_GGUF_U64);
    put_u64(&f, 32);
    expect_bad(&f, "general.alignment is u64");
    f = header(0, 1);
    put_array(&f, "general.alignment", QN_GGUF_U32, 1);
    put_u32(&f, 32);
    expect_bad(&f, "general.alignment is array");
    /* TENSORS_CUSTOM_ALIGN, DATA_CUSTOM_ALIGN (ggml's case has 1: the specification forbids it) */
    for (uint32_t alignment = 8; alignment <= 4096; alignment *= 2) {
        f = header(2, 1);
        put_alignment(&f, alignment);
        put_tensor(&f, "t", QN_GGML_F32, 0, 3);
        put_tensor(&f, "u", QN_GGML_F32, alignment > 12 ? alignment : 16, 3);
        pad(&f, alignment);
        put_zeros(&f, 2 * (size_t)(alignment > 12 ? alignment : 16));
        expect_good(&f);
    }
    f = header(2, 1); /* TENSORS_INCONSISTENT_ALIGN, DATA_INCONSISTENT_ALIGN */
    put_alignment(&f, 64);
    put_tensor(&f, "t", QN_GGML_F32, 0, 3);
    put_tensor(&f, "u", QN_GGML_F32, 32, 3);
    pad(&f, 64);
    put_zeros(&f, 256);
    expect_bad(&f, "offset 32, but the ones before it end at 64");
}

static void array_cases(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < QN_GGUF_TYPE_COUNT; type++) {
        static const uint64_t counts[] = {UINT64_MAX,       1ULL << 63, (1ULL << 61) + 1,
                                          (1ULL << 62) + 1, 1ULL << 30, 1000};
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            bytes f = header(0, 1); /* CVE-2024-25667, 25668, 21825: count * size wraps */
            put_array(&f, "a", type, counts[i]);
            put_zeros(&f, 100);
            expect_bad(&f, "");
        }
    }
    bytes f = header(0, 1); /* nesting is recursion in a parser: refused */
    put_array(&f, "a", QN_GGUF_ARRAY, 1);
    put_u32(&f, QN_GGUF_U8);
    put_u64(&f, 1);
    put_zeros(&f, 8);
    expect_bad(&f, "an array of arrays");
    f = header(0, 1);
    put_array(&f, "a", 99, 1);
    put_zeros(&f, 8);
    expect_bad(&f, "has type 99");
    static const uint64_t lengths[] = {UINT64_MAX, UINT64_MAX - 7, 1ULL << 63, 1ULL << 30, 9};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        f = header(0, 1); /* a tiny file with a huge string */
        put_key(&f, "a", QN_GGUF_STRING);
        put_u64(&f, lengths[i]);
        put_zeros(&f, 8);
        expect_bad(&f, "a string needs");
        f = header(0, 1);
        put_array(&f, "a", QN_GGUF_STRING, 2);
        put_string(&f, "good");
        put_u64(&f, lengths[i]);
        put_zeros(&f, 8);
        expect_bad(&f, "a string needs");
    }
}

/* One tensor line after an empty header, then `data` zero bytes. */
#define one_tensor(data, ...)                                                                      \
    __extension__({                                                                                \
        bytes f_ = header(1, 0);                                                                   \
        put_tensor(&f_, __VA_ARGS__);                                                              \
        pad(&f_, 32);                                                                              \
        put_zeros(&f_, data);                                                                      \
        f_;                                                                                        \
    })

static void tensor_name_cases(void **state)
{
    (void)state;
    char name[80];
    memset(name, 'n', sizeof name);
    name[64] = 0;
    bytes f = one_tensor(64, name, QN_GGML_F32, 0, 4); /* TENSORS_BAD_NAME_SIZE */
    expect_bad(&f, "a tensor name of 64 bytes");
    name[63] = 0;
    f = one_tensor(64, name, QN_GGML_F32, 0, 4);
    expect_good(&f);
    f = one_tensor(64, "", QN_GGML_F32, 0, 4);
    expect_bad(&f, "a tensor name of 0 bytes");
    f = one_tensor(64, "a\tb", QN_GGML_F32, 0, 4);
    expect_bad(&f, "byte 0x09");
    f = header(2, 0); /* TENSORS_DUPLICATE_NAME */
    put_tensor(&f, "t", QN_GGML_F32, 0, 4);
    put_tensor(&f, "t", QN_GGML_F32, 32, 4);
    pad(&f, 32);
    put_zeros(&f, 64);
    expect_bad(&f, "tensor \"t\" occurs twice");
}

static void tensor_shape_cases(void **state)
{
    (void)state;
    const uint64_t big = INT32_MAX;
    bytes f = one_tensor(64, "t", QN_GGML_F32, 0, 1, 1, 1, 1, 1); /* TENSORS_BAD_N_DIMS */
    expect_bad(&f, "5 dimensions");
    f = header(1, 0); /* CVE-2024-21802: rank used as an index */
    put_string(&f, "t");
    put_u32(&f, UINT32_MAX);
    put_zeros(&f, 64);
    expect_bad(&f, "4294967295 dimensions");
    f = one_tensor(64, "t", QN_GGML_F32, 0, UINT64_MAX); /* TENSORS_BAD_SHAPE */
    expect_bad(&f, "a dimension of -1");
    f = one_tensor(0, "t", QN_GGML_F32, 0, 4, 0); /* TENSORS_ZERO_DIM: empty is allowed */
    expect_good(&f);
    f = one_tensor(0, "t", QN_GGML_F32, 0, 1ULL << 62, 1ULL << 62, 0); /* but not to hide a wrap */
    expect_bad(&f, "more than 2^63 elements");
    f = one_tensor(64, "t", QN_GGML_F32, 0, 4 * big, big, big, 1); /* TENSORS_NE_TOO_BIG */
    expect_bad(&f, "more than 2^63 elements");
    f = one_tensor(64, "t", QN_GGML_F32, 0, INT64_MAX / 4 + 1); /* TENSORS_NBYTES_TOO_BIG */
    expect_bad(&f, "larger than 2^63 bytes");
    f = one_tensor(64, "t", QN_GGML_I8, 0, INT64_MAX, 2, 1, 1); /* product negative in 64 bits */
    expect_bad(&f, "more than 2^63 elements");
    f = one_tensor(64, "t", QN_GGML_I8, 0, 1ULL << 32, 1ULL << 32, 1, 1); /* product 0 mod 2^64 */
    expect_bad(&f, "more than 2^63 elements");
    f = one_tensor(64, "t", QN_GGML_F32, 0, 1ULL << 20, (1ULL << 42) + 1, 1, 1); /* stride wraps */
    expect_bad(&f, "2^63");
    f = one_tensor(64, "t", QN_GGML_F32, 0, UINT64_MAX / 4); /* SIZE_MAX - 3 bytes, padded to 0 */
    expect_bad(&f, "larger than 2^63 bytes");
    f = one_tensor(4096, "t", QN_GGML_F32, 0, 1ULL << 40, 1ULL << 20); /* CVE-2026-33298 */
    expect_bad(&f, "ends at byte");
    f = one_tensor(64, "t", QN_GGML_Q4_0, 0, 33);
    expect_bad(&f, "a block of Q4_0 holds 32");
    f = one_tensor(64, "t", QN_GGML_Q4_K, 0, 128, 2); /* whole blocks, but not whole rows */
    expect_bad(&f, "a block of Q4_K holds 256");
    f = header(1, 0); /* rank 0 is one element */
    put_string(&f, "scalar");
    put_u32(&f, 0);
    put_u32(&f, QN_GGML_F32);
    put_u64(&f, 0);
    pad(&f, 32);
    put_zeros(&f, 4);
    expect_good(&f);
}

static void tensor_type_cases(void **state)
{
    (void)state;
    static const uint32_t bad[] = {4, 5, 31, 32, 33, 36, 37, 38, 43, 1000, 0x80000000u, UINT32_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) { /* TENSORS_BAD_TYPE */
        bytes f = one_tensor(4096, "t", bad[i], 0, 256);
        expect_bad(&f, "which ggml does not have");
    }
    int known = 0;
    for (uint32_t type = 0; type < QN_GGML_TYPE_COUNT; type++) {
        const qn_ggml_traits *traits = qn__ggml_traits(type);
        if (!traits->block) continue;
        known++;
        bytes f = one_tensor((size_t)(256 / traits->block * traits->bytes), "t", type, 0, 256);
        expect_good(&f);
        f = one_tensor((size_t)(256 / traits->block * traits->bytes) - 1, "t", type, 0, 256);
        expect_bad(&f, "it is truncated");
    }
    assert_int_equal(known, 35);
}

static void tensor_place_cases(void **state)
{
    (void)state;
    bytes f = one_tensor(64, "t", QN_GGML_F32, UINT64_MAX, 4); /* TENSORS_BAD_OFFSET */
    expect_bad(&f, "offset 18446744073709551615");
    f = one_tensor(64, "t", QN_GGML_F32, 32, 4);
    expect_bad(&f, "offset 32");
    f = header(2, 0); /* overlap */
    put_tensor(&f, "t", QN_GGML_F32, 0, 16);
    put_tensor(&f, "u", QN_GGML_F32, 32, 16);
    pad(&f, 32);
    put_zeros(&f, 256);
    expect_bad(&f, "offset 32, but the ones before it end at 64");
    f = header(2, 0); /* DATA_NOT_ENOUGH_DATA, CVE-2026-7482 */
    put_tensor(&f, "t", QN_GGML_F32, 0, 16);
    put_tensor(&f, "u", QN_GGML_F32, 64, 16);
    pad(&f, 32);
    put_zeros(&f, 127);
    expect_bad(&f, "tensor \"u\" ends at byte 128 of the data, but the file has 127");
    f = header(1, 0); /* the data section does not even begin */
    put_tensor(&f, "t", QN_GGML_F32, 0, 16);
    expect_bad(&f, "the file has 0");
    /* DATA_MEM_SIZE_OVERFLOW: CVE-2025-53630, CVE-2026-27940 */
    const uint64_t almost = 0x7FFFFFFFFFFFFFC0ULL;
    f = header(2, 0);
    put_tensor(&f, "t", QN_GGML_I8, 0, almost);
    put_tensor(&f, "u", QN_GGML_I8, almost, almost);
    pad(&f, 32);
    put_zeros(&f, 64);
    expect_bad(&f, "ends at byte");
    f = header(3, 0);
    put_tensor(&f, "t", QN_GGML_I8, 0, almost);
    put_tensor(&f, "u", QN_GGML_I8, almost, almost);
    put_tensor(&f, "v", QN_GGML_I8, almost * 2, almost);
    pad(&f, 32);
    put_zeros(&f, 64);
    expect_bad(&f, "larger than 2^64 bytes");
}

/* KV_SUCCESS, TENSORS_SUCCESS, DATA_SUCCESS: every type of value, four tensors. */
static bytes good_file(void)
{
    bytes f = header(4, 16);
    const float third = 1.0f / 3;
    const double sixth = 1.0 / 6;
    put_key(&f, "u8", QN_GGUF_U8), put(&f, "\xff", 1);
    put_key(&f, "i8", QN_GGUF_I8), put(&f, "\xff", 1);
    put_key(&f, "u16", QN_GGUF_U16), put(&f, "\xfe\xff", 2);
    put_key(&f, "i16", QN_GGUF_I16), put(&f, "\xfe\xff", 2);
    put_key(&f, "u32", QN_GGUF_U32), put_u32(&f, 4000000000u);
    put_key(&f, "i32", QN_GGUF_I32), put_u32(&f, (uint32_t)-7);
    put_key(&f, "u64", QN_GGUF_U64), put_u64(&f, UINT64_MAX);
    put_key(&f, "i64", QN_GGUF_I64), put_u64(&f, (uint64_t)INT64_MIN);
    put_key(&f, "f32", QN_GGUF_F32), put(&f, &third, 4);
    put_key(&f, "f64", QN_GGUF_F64), put(&f, &sixth, 8);
    put_key(&f, "yes", QN_GGUF_BOOL), put(&f, "\1", 1);
    put_key(&f, "text", QN_GGUF_STRING), put_string(&f, "ab\xc3\xa9");
    put_array(&f, "words", QN_GGUF_STRING, 3);
    put_string(&f, "one"), put_string(&f, ""), put_string(&f, "three");
    put_array(&f, "scores", QN_GGUF_F32, 2), put(&f, &third, 4), put_zeros(&f, 4);
    put_array(&f, "none", QN_GGUF_STRING, 0);
    put_array(&f, "kinds", QN_GGUF_I32, 2), put_u32(&f, 3), put_u32(&f, (uint32_t)-1);
    put_tensor(&f, "a", QN_GGML_F32, 0, 3, 2);
    put_tensor(&f, "empty", QN_GGML_F16, 32, 0);
    put_tensor(&f, "b", QN_GGML_Q8_0, 32, 64, 3);
    put_tensor(&f, "c", QN_GGML_F32, 256, 8);
    pad(&f, 32);
    for (int i = 0; i < 288; i++) put(&f, (uint8_t[]){(uint8_t)i}, 1);
    return f;
}

static void check_values(const qn_gguf *g)
{
    int64_t i = 5;
    double d = 5;
    bool flag = false;
    const char *text = NULL;
    size_t length = 0;
    static const struct {
        const char *key;
        int64_t value;
    } integers[] = {{"u8", 255}, {"i8", -1}, {"u16", 65534}, {"i16", -2}, {"u32", 4000000000},
                    {"i32", -7}, {"u64", INT64_MAX}, {"i64", INT64_MIN}};
    for (size_t k = 0; k < 8; k++) {
        assert_ok(qn__gguf_i64(g, integers[k].key, true, INT64_MIN, INT64_MAX, &i));
        assert_true(i == integers[k].value);
    }
    assert_bad(qn__gguf_i64(g, "u8", true, 0, 254, &i), "made.gguf", "is 255, outside [0, 254]");
    assert_bad(qn__gguf_i64(g, "f32", true, 0, 9, &i), "made.gguf", "is f32, not an integer");
    assert_bad(qn__gguf_i64(g, "kinds", true, 0, 9, &i), "made.gguf", "an array of i32");
    assert_bad(qn__gguf_i64(g, "absent", true, 0, 9, &i), "made.gguf", "\"absent\" is missing");
    i = 42;
    assert_ok(qn__gguf_i64(g, "absent", false, 0, 9, &i));
    assert_true(i == 42);
    assert_ok(qn__gguf_f64(g, "f32", true, &d));
    assert_true(d == (double)(1.0f / 3));
    assert_ok(qn__gguf_f64(g, "f64", true, &d));
    assert_true(d == 1.0 / 6);
    assert_bad(qn__gguf_f64(g, "u8", true, &d), "made.gguf", "not f32 or f64");
    assert_ok(qn__gguf_bool(g, "yes", true, &flag));
    assert_true(flag);
    assert_bad(qn__gguf_bool(g, "u8", true, &flag), "made.gguf", "not a bool");
    assert_ok(qn__gguf_string(g, "text", true, &text, &length));
    assert_int_equal(length, 4);
    assert_memory_equal(text, "ab\xc3\xa9", 4);
    assert_bad(qn__gguf_string(g, "words", true, &text, &length), "made.gguf", "not a string");
}

static void check_arrays(const qn_gguf *g)
{
    const qn_gguf_value *value;
    size_t length;
    assert_ok(qn__gguf_array(g, "words", true, QN_GGUF_STRING, &value));
    assert_true(value->count == 3);
    assert_memory_equal(qn__gguf_element_string(value, 2, &length), "three", 5);
    assert_int_equal(length, 5);
    qn__gguf_element_string(value, 1, &length);
    assert_int_equal(length, 0);
    assert_ok(qn__gguf_array(g, "scores", true, QN_GGUF_F32, &value));
    assert_true(qn__gguf_element_f64(value, 0) == (double)(1.0f / 3));
    assert_ok(qn__gguf_array(g, "kinds", true, QN_GGUF_I32, &value));
    assert_true(qn__gguf_element_i64(value, 1) == -1);
    /* scores or token types declared as bytes: right count, a quarter of the size */
    assert_bad(qn__gguf_array(g, "scores", true, QN_GGUF_U8, &value), "made.gguf",
               "an array of f32, not an array of u8");
    assert_null(value);
    assert_ok(qn__gguf_array(g, "absent", false, QN_GGUF_U8, &value));
    assert_null(value);
    assert_ok(qn__gguf_array(g, "none", true, QN_GGUF_STRING, &value));
    assert_true(value->count == 0);
}

static void good_cases(void **state)
{
    (void)state;
    bytes f = good_file();
    qn_gguf *g;
    uint8_t *aligned = aligned_alloc(64, (f.count + 63) / 64 * 64);
    memcpy(aligned, f.data, f.count);
    assert_ok(qn__gguf_parse(aligned, f.count, "made.gguf", &g));
    check_values(g);
    check_arrays(g);
    assert_int_equal(qn__gguf_value_count(g), 16);
    assert_memory_equal(qn__gguf_value_at(g, 12)->key, "words", 5);
    assert_int_equal(qn__gguf_tensor_count(g), 4);
    const qn_gguf_tensor *b = qn__gguf_tensor(g, "b");
    assert_non_null(b);
    assert_ptr_equal(b, qn__gguf_tensor_at(g, 2));
    assert_true(b->rank == 2 && b->ne[0] == 64 && b->ne[1] == 3 && b->ne[2] == 1);
    assert_true(b->type == QN_GGML_Q8_0 && b->bytes == 6 * 34 && b->offset == 32);
    assert_int_equal(b->data[0], 32);
    assert_null(qn__gguf_tensor(g, "empty")->data);
    assert_null(qn__gguf_tensor(g, "d"));
    const void *start = qn__gguf_tensor_at(g, 0)->data;
    assert_int_equal((uintptr_t)start % 32, 0);
    qn__gguf_close(&g);
    free(aligned);
    free(f.data);
}

/* Cut anywhere, the file is refused: the last tensor fills its padding. */
static void truncation(void **state)
{
    (void)state;
    bytes f = good_file();
    for (size_t count = 0; count < f.count; count++) {
        bytes cut = {0};
        put(&cut, f.data, count);
        expect_bad(&cut, "");
    }
    free(f.data);
}

/* Every field set to extremes: whatever is accepted must be readable in full. */
static void flips(void **state)
{
    (void)state;
    bytes f = good_file();
    static const uint8_t masks[] = {0x01, 0x80, 0xff, 0x40};
    unsigned accepted = 0;
    for (size_t i = 0; i < f.count - 288; i++) {
        for (size_t m = 0; m < sizeof masks; m++) {
            qn_gguf *g;
            f.data[i] ^= masks[m];
            if (qn__gguf_parse(f.data, f.count, "made.gguf", &g) == QN_OK) {
                accepted++;
                uint64_t sum = 0;
                for (size_t t = 0; t < qn__gguf_tensor_count(g); t++) {
                    const qn_gguf_tensor *tensor = qn__gguf_tensor_at(g, t);
                    for (uint64_t k = 0; k < tensor->bytes; k++) sum += tensor->data[k];
                }
                assert_true(sum < 288 * 256);
            }
            qn__gguf_close(&g);
            f.data[i] ^= masks[m];
        }
    }
    assert_true(accepted > 0);
    free(f.data);
}

static void many_names(void **state)
{
    (void)state;
    enum { COUNT = 200000 }; /* quadratic checks for duplicates would take minutes */
    bytes f = header(0, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%u", i);
        put_key(&f, key, QN_GGUF_U8);
        put(&f, "", 1);
    }
    expect_good(&f);
}

static qn_gguf *open_real(const char *name)
{
    const char *path = real_data(name);
    qn_gguf *g = NULL;
    if (!path) return NULL;
    assert_ok(qn__gguf_open(path, &g));
    return g;
}

static void real_model(void **state)
{
    (void)state;
    qn_gguf *g = open_real("llama-2-tiny-random.gguf");
    if (!g) skip();
    int64_t value = 0;
    assert_ok(qn__gguf_i64(g, "llama.embedding_length", true, 1, 1 << 20, &value));
    assert_int_equal(value, 8);
    assert_ok(qn__gguf_i64(g, "llama.block_count", true, 1, 1 << 20, &value));
    assert_int_equal(value, 1);
    const qn_gguf_tensor *embed = qn__gguf_tensor(g, "token_embd.weight");
    assert_non_null(embed);
    assert_true(embed->ne[0] == 8 && embed->ne[1] == 32000 && embed->type == QN_GGML_F16);
    assert_non_null(qn__gguf_tensor(g, "blk.0.attn_q.weight"));
    qn__gguf_close(&g);
}

static void real_vocabulary(const char *name, const char *model, uint64_t tokens)
{
    qn_gguf *g = open_real(name);
    if (!g) skip();
    const char *text;
    size_t length;
    const qn_gguf_value *words;
    assert_ok(qn__gguf_string(g, "tokenizer.ggml.model", true, &text, &length));
    assert_int_equal(length, strlen(model));
    assert_memory_equal(text, model, length);
    assert_ok(qn__gguf_array(g, "tokenizer.ggml.tokens", true, QN_GGUF_STRING, &words));
    assert_true(words->count == tokens);
    qn__gguf_element_string(words, tokens - 1, &length);
    assert_true(length > 0);
    assert_int_equal(qn__gguf_tensor_count(g), 0);
    qn__gguf_close(&g);
}

static void real_gpt2(void **state)
{
    (void)state;
    real_vocabulary("ggml-vocab-gpt-2.gguf", "gpt2", 50257);
}

static void real_spm(void **state)
{
    (void)state;
    real_vocabulary("ggml-vocab-llama-spm.gguf", "llama", 32000);
}

static void not_there(void **state)
{
    (void)state;
    qn_gguf *g;
    assert_int_equal(qn__gguf_open("/nonexistent/x.gguf", &g), QN_OS_ERROR);
    assert_null(g);
    qn__gguf_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_cases),       cmocka_unit_test(key_cases),
        cmocka_unit_test(alignment_cases),    cmocka_unit_test(array_cases),
        cmocka_unit_test(tensor_name_cases),  cmocka_unit_test(tensor_shape_cases),
        cmocka_unit_test(tensor_type_cases),  cmocka_unit_test(tensor_place_cases),
        cmocka_unit_test(good_cases),         cmocka_unit_test(truncation),
        cmocka_unit_test(flips),              cmocka_unit_test(many_names),
        cmocka_unit_test(real_model),         cmocka_unit_test(real_gpt2),
        cmocka_unit_test(real_spm),           cmocka_unit_test(not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
