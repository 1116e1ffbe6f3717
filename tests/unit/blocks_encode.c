/* Quantizing on the host: as near to the numbers as ggml comes, or nearer; nothing undefined for
 * numbers at the edges of what floats hold. Run with --print, it writes the inputs and no test. */
#include "file_support.h"

#include "numeric/blocks.h"

#include <math.h>

enum { ELEMENTS = 8192, STORED = 2048 };

typedef struct input {
    const char *name;
    float x[ELEMENTS];
} input;

enum { NORMAL, HEAVY, UNIFORM, OUTLIER, SPARSE, OFFSET, TINY, INPUTS };

/* In [0, 1), 24 bits. */
static double next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) * 0x1p-24;
}

/* The sum of twelve uniform numbers less six: as good as normal, and exact arithmetic. */
static double normal(uint32_t *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) sum += next(state);
    return sum;
}

static const input *make(int which)
{
    static const char *const names[INPUTS] = {"normal", "heavy",  "uniform", "outlier",
                                              "sparse", "offset", "tiny"};
    static input in;
    uint32_t state = 7u + (uint32_t)which;
    in.name = names[which];
    for (int i = 0; i < ELEMENTS; i++) {
        double u = next(&state) * 2 - 1, n = normal(&state);
        switch (which) {
        case NORMAL: in.x[i] = (float)(0.02 * n); break;
        case HEAVY: in.x[i] = (float)(u / (1.001 - u * u)); break;
        case UNIFORM: in.x[i] = (float)u; break;
        case OUTLIER: in.x[i] = i % 300 == 17 ? (u > 0 ? 60.0f : -60.0f) : (float)n; break;
        case SPARSE: in.x[i] = fabs(u) < 0.1 ? (float)n : 0; break;
        case OFFSET: in.x[i] = (float)(5 + n); break;
        default: in.x[i] = (float)(1e-5 * n);
        }
    }
    return &in;
}

/* Relative squared errors of ggml 0.25's quantizers, without an importance matrix, on these inputs
 * (python3 tests/interop/blocks_ggml.py --figures). */
static const struct {
    qn_dtype type;
    double error[INPUTS];
} ggml[] = {
#include "blocks_ggml.inc"
};

enum { TYPES = sizeof ggml / sizeof ggml[0] };

/* Every block type. */
static const qn_dtype all[] = {QN_Q8_0, QN_Q4_0, QN_Q4_1, QN_Q5_0,   QN_Q5_1,   QN_Q2_K, QN_Q3_K,
                               QN_Q4_K, QN_Q5_K, QN_Q6_K, QN_IQ4_NL, QN_IQ4_XS, QN_MXFP4};

enum { ALL = sizeof all / sizeof all[0] };

static size_t size_of(qn_dtype type, int64_t elements)
{
    int size, block = qn_dtype_block(type, &size);
    return (size_t)(elements / block * size);
}

/* sum w (x - y)^2 / sum w x^2 of the values that come back; they are numbers. */
static double error_of(qn_dtype type, const float *x, int64_t elements, const float *importance)
{
    uint8_t *blocks = malloc(size_of(type, elements));
    float *y = malloc((size_t)elements * 4);
    double miss = 0, sum = 0;
    assert_int_equal(qn__blocks_encode(type, x, elements, 256, importance, blocks), QN_OK);
    assert_int_equal(qn__blocks_decode(type, blocks, elements, y), QN_OK);
    for (int64_t i = 0; i < elements; i++) {
        double w = importance ? importance[i % 256] : 1;
        if (!isfinite(y[i]))
            fail_msg("%s: %g becomes %g", qn_dtype_name(type), (double)x[i], (double)y[i]);
        miss += w * ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
        sum += w * (double)x[i] * x[i];
    }
    free(blocks);
    free(y);
    return sum > 0 ? miss / sum : miss;
}

static float *load(const char *name)
{
    const char *path = real_data(name);
    if (!path) return NULL;
    float *data = malloc(STORED * 4);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(data, 4, STORED, f), STORED);
    fclose(f);
    return data;
}

static void no_worse_than_what_ggml_stored(void **state)
{
    (void)state;
    float *x = load("blocks/input_f32.bin");
    if (!x) skip();
    for (int t = 0; t < ALL; t++) {
        char name[128];
        double miss = 0, sum = 0;
        snprintf(name, sizeof name, "blocks/%s.dequant_f32.bin", qn_dtype_name(all[t]));
        float *y = load(name);
        assert_non_null(y);
        for (int i = 0; i < STORED; i++) {
            miss += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
            sum += (double)x[i] * x[i];
        }
        double ours = error_of(all[t], x, STORED, NULL), theirs = miss / sum;
        print_message("%-7s %.4e, ggml %.4e\n", qn_dtype_name(all[t]), ours, theirs);
        if (ours > theirs * (1 + 1e-12)) fail_msg("%s is further off", qn_dtype_name(all[t]));
        free(y);
    }
    free(x);
}

static void no_worse_on_other_numbers(void **state)
{
    (void)state;
    for (int which = 0; which < INPUTS; which++) {
        const input *in = make(which);
        for (int t = 0; t < TYPES; t++) {
            double ours = error_of(ggml[t].type, in->x, ELEMENTS, NULL);
            if (ours > ggml[t].error[which] * 1.00001)
                fail_msg("%s of %s: %.5e, ggml %.5e", qn_dtype_name(ggml[t].type), in->name, ours,
                         ggml[t].error[which]);
        }
    }
}

/* What matters more is nearer, by the measure that says so. */
static void importance_is_heard(void **state)
{
    (void)state;
    float importance[256];
    uint32_t random = 3;
    for (int i = 0; i < 256; i++) importance[i] = (float)(i % 16 == 3 ? 30 : next(&random));
    importance[9] = 0;
    const input *in = make(NORMAL);
    for (int t = 0; t < ALL; t++) {
        uint8_t *blocks = malloc(size_of(all[t], ELEMENTS));
        float y[256];
        double without = 0, sum = 0, with = error_of(all[t], in->x, ELEMENTS, importance);
        assert_int_equal(qn__blocks_encode(all[t], in->x, ELEMENTS, 256, NULL, blocks), QN_OK);
        for (int r = 0; r < ELEMENTS / 256; r++) {
            const float *x = in->x + 256 * r;
            const uint8_t *from = blocks + size_of(all[t], 256) * (size_t)r;
            assert_int_equal(qn__blocks_decode(all[t], from, 256, y), QN_OK);
            for (int i = 0; i < 256; i++) {
                without += importance[i] * ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
                sum += importance[i] * (double)x[i] * x[i];
            }
        }
        without /= sum;
        double gain = all[t] == QN_Q8_0 ? 1 : all[t] == QN_MXFP4 ? 0.99 : 0.8;
        if (with > without * gain)
            fail_msg("%s: %.4e with, %.4e without", qn_dtype_name(all[t]), with, without);
        free(blocks);
    }
    /* None at all is no opinion. */
    memset(importance, 0, sizeof importance);
    for (int t = 0; t < ALL; t++) assert_true(error_of(all[t], in->x, 256, importance) < 0.2);
}

static void edges(void **state)
{
    (void)state;
    static const float scales[] = {0,     1e-45f,  1e-42f, 1.1e-38f, 1e-20f, 3e-8f,
                                   1e-6f, 60000.f, 1e5f,   3e7f,     1e20f,  3.4e38f};
    float x[512];
    uint32_t random = 11;
    for (int t = 0; t < ALL; t++)
        for (size_t s = 0; s < sizeof scales / sizeof scales[0]; s++)
            for (int kind = 0; kind < 4; kind++) {
                for (int i = 0; i < 512; i++) {
                    double u = next(&random) * 2 - 1;
                    if (kind == 1) u = 1;
                    if (kind == 2) u = i % 64 == 5 ? -1 : 0;
                    if (kind == 3) u = i % 256 == 200 ? 1 : u * 1e-6;
                    x[i] = (float)(u * (double)scales[s]);
                }
                double miss = error_of(all[t], x, 512, NULL);
                /* As far as the scales reach, no further off than zeros would be. */
                bool inside = scales[s] < 65504.0f * 8 || all[t] == QN_MXFP4;
                /* ggml's rule for these leaves halves below 2^-14 to chance. */
                if (scales[s] < 1e-2f && all[t] <= QN_Q5_1) inside = false;
                if (scales[s] == 0 ? miss != 0 : inside && miss > 1.0001)
                    fail_msg("%s, kind %d times %g: %g", qn_dtype_name(all[t]), kind,
                             (double)scales[s], miss);
                if (kind == 1 && scales[s] > 1e-3f && scales[s] < 65505.0f && all[t] != QN_MXFP4 &&
                    miss > 0x1p-22)
                    fail_msg("%s of a constant %g: %g", qn_dtype_name(all[t]), (double)scales[s],
                             miss);
                error_of(all[t], x, 512, x + 256 * (kind == 1)); /* any importance */
            }
}

static void what_is_no_number(void **state)
{
    (void)state;
    float x[256] = {1, 2, 3}, importance[256] = {1};
    uint8_t blocks[512];
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int t = 0; t < ALL; t++)
        for (int k = 0; k < 3; k++) {
            x[77] = bad[k];
            assert_int_equal(qn__blocks_encode(all[t], x, 256, 256, NULL, blocks), QN_NON_FINITE);
            assert_non_null(strstr(qn_last_error(), "77"));
            x[77] = 0;
            importance[5] = bad[k];
            assert_int_equal(qn__blocks_encode(all[t], x, 256, 256, importance, blocks),
                             QN_NON_FINITE);
            importance[5] = 0;
        }
    /* Rows that do not fit. */
    assert_int_equal(qn__blocks_encode(QN_Q4_K, x, 256, 128, NULL, blocks), QN_BAD_ARGUMENT);
    assert_int_equal(qn__blocks_encode(QN_Q8_0, x, 256, 96, NULL, blocks), QN_BAD_ARGUMENT);
    assert_int_equal(qn__blocks_encode(QN_Q8_0, x, 256, 0, NULL, blocks), QN_BAD_ARGUMENT);
    assert_int_equal(qn__blocks_encode(QN_Q8_0, x, -32, 32, NULL, blocks), QN_BAD_ARGUMENT);
    assert_int_equal(qn__blocks_encode(QN_Q8_0, x, 31, 31, NULL, blocks), QN_BAD_ARGUMENT);
    assert_int_equal(qn__blocks_encode(QN_Q8_0, x, 0, 32, NULL, blocks), QN_OK);
}

/* Whole or row by row, at any address, in buffers of exactly their size. */
static void rows_alone(void **state)
{
    (void)state;
    const input *in = make(HEAVY);
    for (int t = 0; t < ALL; t++) {
        const size_t count = size_of(all[t], ELEMENTS), row = size_of(all[t], 512);
        uint8_t *whole = malloc(count), *parts = malloc(count + 1);
        float *importance = malloc(512 * 4);
        for (int i = 0; i < 512; i++) importance[i] = 1 + (float)(i % 7);
        assert_int_equal(qn__blocks_encode(all[t], in->x, ELEMENTS, 512, importance, whole), QN_OK);
        for (int r = 0; r < ELEMENTS / 512; r++)
            assert_int_equal(qn__blocks_encode(all[t], in->x + 512 * r, 512, 512, importance,
                                               parts + 1 + row * (size_t)r),
                             QN_OK);
        assert_memory_equal(whole, parts + 1, count);
        free(whole);
        free(parts);
        free(importance);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_worse_than_what_ggml_stored),
        cmocka_unit_test(no_worse_on_other_numbers),
        cmocka_unit_test(importance_is_heard),
        cmocka_unit_test(edges),
        cmocka_unit_test(what_is_no_number),
        cmocka_unit_test(rows_alone),
    };
    if (argc > 1 && strcmp(argv[1], "--print") == 0) {
        size_t done = 0;
        for (int which = 0; which < INPUTS; which++)
            done += fwrite(make(which)->x, 4, ELEMENTS, stdout);
        return done == (size_t)INPUTS * ELEMENTS ? 0 : 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
