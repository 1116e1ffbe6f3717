/* Opening devices, their record, memory, programs and probes. QN_DEVICE chooses the device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "device/device.h"

#include <stdlib.h>
#include <string.h>

#define ASSERT_OK(call)                                                                            \
    do {                                                                                           \
        if ((call) != QN_OK) fail_msg("%s: %s", #call, qn_last_error());                           \
    } while (0)

static qn_device *opened(void)
{
    qn_device *device = NULL;
    ASSERT_OK(qn_device_open(NULL, &device));
    return device;
}

static void refuses_unknown_selector(void **unused)
{
    (void)unused;
    qn_device *device = NULL;
    qn_device_options options = {.size = sizeof options, .selector = "no such device"};
    assert_int_equal(qn_device_open(&options, &device), QN_NO_DEVICE);
    assert_null(device);
    assert_non_null(strstr(qn_last_error(), "no such device"));
}

static void record_survives_json(void **unused)
{
    (void)unused;
    qn_device *device = opened();
    qn_caps back;
    memset(&back, 0, sizeof back);
    json_t *record = qn__caps_to_json(qn__device_caps(device));
    assert_non_null(record);
    ASSERT_OK(qn__caps_from_json(record, "the test", &back));
    assert_true(qn__caps_key(&back) == qn__caps_key(qn__device_caps(device)));
    assert_memory_equal(back.probe, qn__device_caps(device)->probe, sizeof back.probe);
    assert_int_equal(back.quirks, qn__device_caps(device)->quirks);
    assert_true(back.peak_int8_gops == qn__device_caps(device)->peak_int8_gops);
    assert_true(back.max_alloc_bytes == qn__device_caps(device)->max_alloc_bytes);
    json_decref(record);
    qn_device_close(&device);
    assert_null(device);
}

static void basic_probe_is_proven(void **unused)
{
    (void)unused;
    qn_device *device = opened();
    assert_int_equal(qn__device_caps(device)->probe[QN_PROBE_BASIC], QN_PROVEN);
    for (int i = 0; i < QN_PROBE_COUNT; i++) {
        if (qn__device_caps(device)->type == QN_CPU)
            assert_int_not_equal(qn__device_caps(device)->probe[i], QN_UNKNOWN);
    }
    static const qn_probe_id portable[] = {QN_PROBE_BASIC, QN_PROBE_VECTOR16, QN_PROBE_LOCAL,
                                           QN_PROBE_HALF}; /* the others ask for some hardware */
    for (size_t i = 0; i < sizeof portable / sizeof portable[0]; i++)
        if (strstr(qn__device_caps(device)->platform, "Portable Computing Language"))
            assert_int_equal(qn__device_caps(device)->probe[portable[i]], QN_PROVEN);
    qn_device_close(&device);
}

/* An instruction that this processor has is proven through PoCL, one that it has not is refuted. */
static void processor_probes_agree_with_cpuid(void **unused)
{
    (void)unused;
#if defined(__x86_64__)
    qn_device *device = opened();
    const qn_caps *caps = qn__device_caps(device);
    if (caps->type == QN_CPU && strstr(caps->platform, "Portable Computing Language")) {
        assert_int_equal(caps->probe[QN_PROBE_X86_BF16],
                         __builtin_cpu_supports("avx512bf16") ? QN_PROVEN : QN_REFUTED);
        assert_int_equal(caps->probe[QN_PROBE_X86_VNNI],
                         __builtin_cpu_supports("avx512vnni") ? QN_PROVEN : QN_REFUTED);
    }
    qn_device_close(&device);
#endif
}

static void copies_and_fills(void **unused)
{
    (void)unused;
    enum { BYTES = 4099 };
    unsigned char from[BYTES], back[BYTES];
    const uint32_t pattern = 0xDEADBEEF;
    qn_device *device = opened();
    qn_buffer *a, *b;
    for (int i = 0; i < BYTES; i++) from[i] = (unsigned char)(i * 7 + i / 251);
    ASSERT_OK(qn__buffer_create(device, BYTES, "a", &a));
    ASSERT_OK(qn__buffer_create(device, BYTES, "b", &b));
    ASSERT_OK(qn__buffer_read(a, 0, back, BYTES));
    for (int i = 0; i < BYTES; i++) assert_int_equal(back[i], 0);
    ASSERT_OK(qn__buffer_write(a, 0, from, BYTES));
    ASSERT_OK(qn__buffer_copy(b, 0, a, 0, BYTES));
    ASSERT_OK(qn__buffer_fill(b, 8, 16, &pattern, sizeof pattern));
    ASSERT_OK(qn__buffer_read(b, 0, back, BYTES));
    for (int i = 0; i < BYTES; i++)
        assert_int_equal(back[i],
                         i >= 8 && i < 24 ? ((const unsigned char *)&pattern)[i % 4] : from[i]);
    assert_int_equal(qn__buffer_write(a, BYTES, from, 8), QN_INTERNAL);
    assert_int_equal(qn__buffer_read(a, UINT64_MAX, back, 8), QN_INTERNAL);
    assert_int_equal(qn__buffer_copy(b, 4000, a, 0, 4000), QN_INTERNAL);
    ASSERT_OK(qn__buffer_write(a, qn__buffer_bytes(a), from, 0));
    qn__buffer_destroy(&a);
    qn__buffer_destroy(&b);
    qn__buffer_destroy(&b);
    assert_null(b);
    qn_device_close(&device);
}

static void memory_is_counted(void **unused)
{
    (void)unused;
    qn_device *device = opened();
    uint64_t before, now, peak;
    qn_buffer *buffer;
    qn_device_memory(device, &before, &peak);
    ASSERT_OK(qn__buffer_create(device, 1 << 20, "a megabyte", &buffer));
    qn_device_memory(device, &now, &peak);
    assert_true(now == before + (1 << 20) && peak >= now);
    qn__buffer_destroy(&buffer);
    qn_device_memory(device, &now, &peak);
    assert_true(now == before && peak >= before + (1 << 20));
    qn_device_close(&device);
}

static void too_much_is_refused(void **unused)
{
    (void)unused;
    qn_device *device = opened();
    qn_buffer *buffer;
    uint64_t limit = qn__device_caps(device)->max_alloc_bytes;
    const uint64_t sizes[] = {limit + 4, UINT64_MAX - 8, UINT64_MAX};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(qn__buffer_create(device, sizes[i], "the moon", &buffer),
                         QN_OUT_OF_DEVICE_MEMORY);
        assert_null(buffer);
        assert_non_null(strstr(qn_last_error(), "the moon"));
    }
    qn_device_close(&device);
}

static void programs_are_kept(void **unused)
{
    (void)unused;
    qn_device *device = opened();
    qn_kernel *first, *second, *other;
    int built, cached, built_again, cached_again;
    ASSERT_OK(qn__device_kernel(device, "probe_basic.cl", "", "probe_basic", &first));
    qn__device_program_counts(device, &built, &cached);
    ASSERT_OK(qn__device_kernel(device, "probe_basic.cl", "", "probe_basic", &second));
    qn__device_program_counts(device, &built_again, &cached_again);
    assert_ptr_equal(first, second);
    assert_true(built == built_again && cached == cached_again);
    assert_int_not_equal(qn__device_kernel(device, "no_such_file.cl", "", "x", &other), QN_OK);
    assert_non_null(strstr(qn_last_error(), "no_such_file.cl"));
    assert_int_not_equal(qn__device_kernel(device, "probe_basic.cl", "", "no_such_kernel", &other),
                         QN_OK);
    assert_non_null(strstr(qn_last_error(), "no_such_kernel"));
    qn_device_close(&device);
}

static void two_devices_at_once(void **unused)
{
    (void)unused;
    qn_device *a = opened(), *b = opened();
    qn_buffer *buffer;
    uint64_t now_a, now_b, peak, before;
    qn_device_memory(b, &before, &peak);
    ASSERT_OK(qn__buffer_create(a, 4096, "a", &buffer));
    qn_device_memory(a, &now_a, &peak);
    qn_device_memory(b, &now_b, &peak);
    assert_true(now_b == before && now_a >= 4096);
    qn_device_close(&b);
    qn__buffer_destroy(&buffer);
    qn_device_close(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_unknown_selector),
        cmocka_unit_test(record_survives_json),
        cmocka_unit_test(basic_probe_is_proven),
        cmocka_unit_test(processor_probes_agree_with_cpuid),
        cmocka_unit_test(copies_and_fills),
        cmocka_unit_test(memory_is_counted),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(programs_are_kept),
        cmocka_unit_test(two_devices_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
