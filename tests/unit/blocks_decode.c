/* Quantized blocks against what ggml stored for the same 2048 numbers, and over hostile bytes. */
#include "file_support.h"

#include "numeric/blocks.h"

#include <math.h>

enum { ELEMENTS = 2048 };

static const struct {
    qn_dtype type;
    bool same_bytes; /* ours are ggml's */
} types[] = {{QN_Q8_0, true},  {QN_Q4_0, true},  {QN_Q4_1, true},    {QN_Q5_0, true},
             {QN_Q5_1, true},  {QN_Q2_K, false}, {QN_Q3_K, false},   {QN_Q4_K, false},
             {QN_Q5_K, false}, {QN_Q6_K, false}, {QN_IQ4_NL, false}, {QN_IQ4_XS, false},
             {QN_MXFP4, false}};

enum { TYPES = sizeof types / sizeof types[0] };

static size_t bytes_of(qn_dtype type, int64_t elements)
{
    int size, block = qn_dtype_block(type, &size);
    return (size_t)(elements / block * size);
}

/* The whole file, which must have `count` bytes; NULL: not there. */
static uint8_t *load(const char *type, const char *what, size_t count)
{
    char name[128];
    snprintf(name, sizeof name, "blocks/%s%s.bin", type, what);
    const char *path = real_data(name);
    if (!path) return NULL;
    uint8_t *data = malloc(count);
    FILE *f = fopen(path, "rb");
    assert_non_null(data);
    assert_non_null(f);
    assert_int_equal(fread(data, 1, count, f), count);
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
    return data;
}

static void decoded_bits_are_ggmls(void **state)
{
    (void)state;
    for (int t = 0; t < TYPES; t++) {
        const char *name = qn_dtype_name(types[t].type);
        size_t count = bytes_of(types[t].type, ELEMENTS);
        uint8_t *blocks = load(name, ".blocks", count);
        if (!blocks) skip();
        uint8_t *want = load(name, ".dequant_f32", ELEMENTS * 4);
        assert_non_null(want);
        float *got = malloc(ELEMENTS * 4);
        assert_int_equal(qn__blocks_decode(types[t].type, blocks, ELEMENTS, got), QN_OK);
        if (memcmp(got, want, ELEMENTS * 4) != 0) fail_msg("%s differs", name);
        free(got);
        free(want);
        free(blocks);
    }
}

static void encoded_bytes_are_ggmls(void **state)
{
    (void)state;
    uint8_t *input = load("input_f32", "", ELEMENTS * 4);
    if (!input) skip();
    for (int t = 0; t < TYPES; t++) {
        if (!types[t].same_bytes) continue;
        const char *name = qn_dtype_name(types[t].type);
        size_t count = bytes_of(types[t].type, ELEMENTS);
        uint8_t *want = load(name, ".blocks", count), *got = malloc(count);
        assert_non_null(want);
        assert_int_equal(qn__blocks_encode(types[t].type, (float *)input, ELEMENTS, 256, NULL, got),
                         QN_OK);
        if (memcmp(got, want, count) != 0) fail_msg("%s differs", name);
        free(got);
        free(want);
    }
    free(input);
}

/* Any bytes, at any address, in a buffer of exactly their size: ASan and UBSan watch. */
static void any_bytes_decode(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (int t = 0; t < TYPES; t++)
        for (int shift = 0; shift < 3; shift++) {
            int size, block = qn_dtype_block(types[t].type, &size);
            uint8_t *from = malloc((size_t)(size * 3 + shift));
            float *to = malloc((size_t)block * 3 * 4);
            for (int round = 0; round < 50; round++) {
                for (int i = 0; i < size * 3 + shift; i++) {
                    random = random * 1664525u + 1013904223u;
                    from[i] = round == 0 ? 0 : round == 1 ? 255 : (uint8_t)(random >> 24);
                }
                qn_status status =
                    qn__blocks_decode(types[t].type, from + shift, (int64_t)block * 3, to);
                assert_int_equal(status, QN_OK);
            }
            /* Part of a block is refused before anything is read. */
            assert_int_equal(qn__blocks_decode(types[t].type, from, block - 1, to),
                             QN_BAD_ARGUMENT);
            assert_int_equal(qn__blocks_decode(types[t].type, from, -block, to), QN_BAD_ARGUMENT);
            assert_int_equal(qn__blocks_decode(types[t].type, NULL, 0, NULL), QN_OK);
            free(from);
            free(to);
        }
}

static void types_without_blocks(void **state)
{
    (void)state;
    float value = 0;
    static const qn_dtype none[] = {QN_F32, QN_F16, QN_BF16, QN_I32, QN_U8, QN_DTYPE_COUNT};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_int_equal(qn__blocks_decode(none[i], &value, 0, &value), QN_BAD_ARGUMENT);
        assert_int_equal(qn__blocks_encode(none[i], &value, 0, 32, NULL, &value), QN_BAD_ARGUMENT);
    }
    assert_non_null(strstr(qn_last_error(), "no blocks"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoded_bits_are_ggmls),
        cmocka_unit_test(encoded_bytes_are_ggmls),
        cmocka_unit_test(any_bytes_decode),
        cmocka_unit_test(types_without_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
