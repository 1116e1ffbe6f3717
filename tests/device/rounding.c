/* Stochastic rounding of AdamW's bf16 states: exact values stay, the mean of many roundings is the
 * value itself, and what an element gets depends on seed, step, stream and its own number only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "numeric/half.h"
#include "ops/exec.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) != QN_OK) fail_msg("%s: %s", #call, qn_last_error());                           \
    } while (0)

enum { N = 65536 };

static qn_device *device;

static int make(void **state)
{
    (void)state;
    return qn_device_open(NULL, &device) == QN_OK ? 0 : -1;
}

static int drop(void **state)
{
    (void)state;
    qn_device_close(&device);
    return 0;
}

/* p [count] bf16 = `start` - lr with m = v = g = 0 but for the decay: p' = start - lr decay start.
 */
static void step(float start, float lr, int32_t seed, int stream, int64_t first, int64_t count,
                 uint16_t *p)
{
    const float hyper[8] = {lr, 0.9f, 0.95f, 1e-8f, 1.0f, 1, 1, 1};
    const int32_t rng[4] = {seed, 0, 3, 0};
    qn_call call = {.caps = qn__device_caps(device)};
    qn_op_id id;
    char line[96];
    snprintf(line, sizeof line, "adamw stream=%d first=%lld", stream, (long long)first);
    assert_ok(qn__op_parse(line, &id, call.attr, NULL));
    call.op = qn__op(id);
    const qn_dtype types[8] = {QN_BF16, QN_F32, QN_F32, QN_F32, QN_F32, QN_F32, QN_F32, QN_I32};
    for (int i = 0; i < 8; i++) {
        if (i == 5 || i == 6) continue;
        qn_shape shape = {.rank = 1, .dim = {i == 4 ? 8 : i == 7 ? 4 : count}};
        call.in[i] = (qn_operand){.there = true, .desc = {.dtype = types[i], .shape = shape}};
        uint64_t bytes = qn__desc_bytes(&call.in[i].desc);
        assert_ok(qn__buffer_create(device, bytes, "test", &call.in[i].buffer));
    }
    for (int64_t i = 0; i < count; i++) p[i] = qn__f32_to_bf16(start);
    assert_ok(qn__buffer_write(call.in[0].buffer, 0, p, (uint64_t)count * 2));
    assert_ok(qn__buffer_write(call.in[4].buffer, 0, hyper, sizeof hyper));
    assert_ok(qn__buffer_write(call.in[7].buffer, 0, rng, sizeof rng));
    assert_ok(qn__call_shape(&call));
    const int alias[3] = {0, 2, 3};
    for (int o = 0; o < 3; o++) call.out[o] = call.in[alias[o]];
    assert_ok(qn__call_run(device, &call));
    assert_ok(qn__buffer_read(call.in[0].buffer, 0, p, (uint64_t)count * 2));
    for (int i = 0; i < 8; i++) qn__buffer_destroy(&call.in[i].buffer);
}

static void mean_is_the_value(void **state)
{
    (void)state;
    static uint16_t p[N];
    const float parts[] = {0.0f, 0.0625f, 0.3f, 0.5f, 0.9f}; /* of the way down to the next bf16 */
    for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
        step(2.0f, parts[k] * 0x1p-8f, 11, 5, 0, N, p); /* 2 (1 - lr): neighbours 2 and 2 - 2^-7 */
        double sum = 0;
        for (int i = 0; i < N; i++) {
            float value = qn__bf16_to_f32(p[i]);
            assert_true(value == 2.0f || value == 2.0f - 0x1p-7f);
            if (parts[k] == 0) assert_true(value == 2.0f);
            sum += (double)value;
        }
        double want = 2.0 - (double)parts[k] * 0x1p-7;
        double sigma = 0x1p-7 * sqrt((double)(parts[k] * (1 - parts[k])) / N);
        print_message("part %.4f: mean off by %.2f sigma\n", (double)parts[k],
                      sigma > 0 ? (sum / N - want) / sigma : 0);
        assert_true(fabs(sum / N - want) <= 4.5 * sigma + 1e-6 * 0x1p-7);
    }
}

static void depends_on_its_key_only(void **state)
{
    (void)state;
    static uint16_t whole[N], part[N], other[N];
    const float lr = 0x1p-9f;
    step(2.0f, lr, 11, 5, 0, N, whole);
    step(2.0f, lr, 11, 5, 12345, 1000, part); /* the same elements as a piece */
    assert_memory_equal(part, whole + 12345, 1000 * sizeof *part);
    step(2.0f, lr, 11, 6, 0, N, other);
    assert_memory_not_equal(other, whole, sizeof whole);
    step(2.0f, lr, 12, 5, 0, N, other);
    assert_memory_not_equal(other, whole, sizeof whole);
    step(2.0f, lr, 11, 5, 0xFFFFFF00, 1000, part); /* the number passes 2^32 within a vector */
    step(2.0f, lr, 11, 5, 0x100000000, 744, other);
    assert_memory_equal(part + 256, other, 744 * sizeof *part);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mean_is_the_value),
                                       cmocka_unit_test(depends_on_its_key_only)};
    return cmocka_run_group_tests(tests, make, drop);
}
