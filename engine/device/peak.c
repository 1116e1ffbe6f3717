/* Measured peaks: what percentages are percentages of. */
#include "device/opencl.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHAINS = 16, ROUNDS = 7 };

/* ---- the same loop in host C ---- */

typedef float vector16 __attribute__((vector_size(64)));

typedef float host_loop(int rounds, float a, float b);

typedef struct host_part {
    host_loop *loop;
    int rounds;
    float a, b;
    float out;
} host_part;

/* What a host loop does, and the operations of an instruction of 16 lanes. */
enum { HOST_F32, HOST_BF16, HOST_INT8, HOST_LOOPS };
static const double host_operations[HOST_LOOPS] = {16 * 2, 16 * 2 * 2, 16 * 4 * 2};

#if defined(__x86_64__)
__attribute__((target("avx512f,fma"))) static float host_f32(int rounds, float fa, float fb)
{
    vector16 x[CHAINS], a = fa - (vector16){0}, b = fb - (vector16){0};
#pragma GCC unroll 16
    for (int j = 0; j < CHAINS; j++) x[j] = a + (float)j;
    for (int i = 0; i < rounds; i++) {
#pragma GCC unroll 16
        for (int j = 0; j < CHAINS; j++)
            __asm__("vfmadd213ps %2, %1, %0" : "+v"(x[j]) : "v"(b), "v"(a));
    }
#pragma GCC unroll 16
    for (int j = 1; j < CHAINS; j++) x[0] += x[j];
    return x[0][0];
}

/* Instructions that add to their first operand: pairs of bf16, fours of bytes. */
#define HOST_DOT(name, instruction)                                                                \
    __attribute__((target("avx512f"))) static float name(int rounds, float fa, float fb)           \
    {                                                                                              \
        vector16 x[CHAINS], a = fa - (vector16){0}, b = fb - (vector16){0};                        \
        _Pragma("GCC unroll 16") for (int j = 0; j < CHAINS; j++) x[j] = a + (float)j;             \
        for (int i = 0; i < rounds; i++) {                                                         \
            _Pragma("GCC unroll 16") for (int j = 0; j < CHAINS; j++) __asm__(                     \
                instruction " %2, %1, %0" : "+v"(x[j]) : "v"(a), "v"(b));                          \
        }                                                                                          \
        _Pragma("GCC unroll 16") for (int j = 1; j < CHAINS; j++) x[0] += x[j];                    \
        return x[0][0];                                                                            \
    }
HOST_DOT(host_bf16, "vdpbf16ps")
HOST_DOT(host_int8, "vpdpbusd")

static host_loop *find_host_loop(int kind)
{
    if (kind == HOST_F32) return __builtin_cpu_supports("avx512f") ? host_f32 : NULL;
    if (kind == HOST_BF16) return __builtin_cpu_supports("avx512bf16") ? host_bf16 : NULL;
    return __builtin_cpu_supports("avx512vnni") ? host_int8 : NULL;
}
#else
static host_loop *find_host_loop(int kind)
{
    (void)kind;
    return NULL;
}
#endif

static void *host_thread(void *argument)
{
    host_part *part = argument;
    part->out = part->loop(part->rounds, part->a, part->b);
    return NULL;
}

/* 10^9 operations a second of a host loop on `threads` threads; 0 where there is none for this CPU.
 */
static double host_gflops(int threads, int rounds, int kind)
{
    pthread_t ids[256];
    host_part parts[256];
    double best = 0;
    host_loop *loop = find_host_loop(kind);
    if (!loop) return 0;
    if (threads > 256) threads = 256;
    for (int try = 0; try < ROUNDS; try++) {
        double start = qn__seconds();
        int started = 0;
        for (; started < threads; started++) {
            parts[started] = (host_part){.loop = loop, .rounds = rounds, .a = 1e-6f, .b = 0.999f};
            if (pthread_create(&ids[started], NULL, host_thread, &parts[started]) != 0) break;
        }
        for (int i = 0; i < started; i++) pthread_join(ids[i], NULL);
        double rate =
            host_operations[kind] * CHAINS * rounds * started / (qn__seconds() - start) * 1e-9;
        if (rate > best) best = rate;
    }
    return best;
}

/* ---- the device ---- */

static qn_status time_launch(qn_device *device, qn_kernel *kernel, size_t items, size_t local,
                             double *best)
{
    size_t groups = items / local;
    QN_TRY(qn__device_launch(device, kernel, 1, &groups, &local, 0)); /* warm */
    QN_TRY(qn__device_finish(device));
    *best = 1e30;
    for (int try = 0; try < ROUNDS; try++) {
        double start = qn__seconds();
        QN_TRY(qn__device_launch(device, kernel, 1, &groups, &local, 0));
        QN_TRY(qn__device_finish(device));
        double took = qn__seconds() - start;
        if (took < *best) *best = took;
    }
    return qn__device_times(device, NULL, NULL);
}

static qn_status set_args(qn_kernel *kernel, const qn_buffer *out, const qn_buffer *in)
{
    const uint64_t zero = 0;
    QN_TRY(qn__kernel_arg_buffer(kernel, 0, out));
    QN_TRY(qn__kernel_arg(kernel, 1, sizeof zero, &zero));
    if (!in) return QN_OK;
    QN_TRY(qn__kernel_arg_buffer(kernel, 2, in));
    return qn__kernel_arg(kernel, 3, sizeof zero, &zero);
}

static qn_status measure_fma(qn_device *device, qn_buffer *out, bool wide, size_t items,
                             double *gflops, int *rounds_used)
{
    char options[64];
    qn_kernel *kernel;
    const float a = 1e-6f, b = 0.999f;
    int width = wide ? 16 : 1;
    double took = 0;
    snprintf(options, sizeof options, "-DQN_W=%d -DQN_CHAINS=%d", width, CHAINS);
    QN_TRY(qn__device_kernel(device, "peak.cl", options, "peak_fma", &kernel));
    QN_TRY(set_args(kernel, out, NULL));
    QN_TRY(qn__kernel_arg(kernel, 3, sizeof a, &a));
    QN_TRY(qn__kernel_arg(kernel, 4, sizeof b, &b));
    for (int rounds = 1 << 10;; rounds *= 4) { /* long enough that the launch does not count */
        QN_TRY(qn__kernel_arg(kernel, 2, sizeof rounds, &rounds));
        QN_TRY(time_launch(device, kernel, items, wide ? 1 : 64, &took));
        *rounds_used = rounds;
        if (took > 0.02 || rounds >= 1 << 24) break;
    }
    *gflops = 2.0 * width * CHAINS * *rounds_used * (double)items / took * 1e-9;
    return QN_OK;
}

/* ---- matrix units ---- */

/* What a proven probe promises: QN_UNIT and the lanes of matrix_unit.clh, and the operations of one
 * round of an item's unit in its peak kernel (8 fragments, 16 chains of 16 sums, or 4 tiles). Of
 * each type the first that is proven counts. */
typedef struct matrix_unit {
    qn_probe_id probe;
    const char *file;
    bool int8; /* else bf16 */
    int unit, lanes;
    double operations;
} matrix_unit;

static const matrix_unit matrix_units[] = {
    {QN_PROBE_X86_AMX_BF16, "peak_x86_amx_bf16.cl", false, 0, 1, 4.0 * 16 * 16 * 32 * 2},
    {QN_PROBE_X86_AMX_INT8, "peak_x86_amx_int8.cl", true, 0, 1, 4.0 * 16 * 16 * 64 * 2},
    {QN_PROBE_X86_BF16, "peak_x86_bf16.cl", false, 0, 1, 16.0 * 16 * 4},
    {QN_PROBE_X86_VNNI, "peak_x86_vnni.cl", true, 0, 1, 16.0 * 16 * 8},
    {QN_PROBE_MATRIX_PTX, "peak_matrix.cl", false, 1, 32, 8.0 * 16 * 16 * 16 * 2},
    {QN_PROBE_MATRIX_DPAS8, "peak_matrix.cl", false, 2, 8, 8.0 * 8 * 8 * 16 * 2},
    {QN_PROBE_MATRIX_DPAS16, "peak_matrix.cl", false, 3, 16, 8.0 * 8 * 16 * 16 * 2},
    {QN_PROBE_MATRIX_MFMA, "peak_matrix.cl", false, 4, 64, 8.0 * 16 * 16 * 16 * 2},
    {QN_PROBE_MATRIX_WMMA, "peak_matrix.cl", false, 5, 32, 8.0 * 16 * 16 * 16 * 2},
};

/* In 10^9 operations a second. */
static qn_status measure_unit(qn_device *device, qn_buffer *out, const matrix_unit *unit,
                              double *rate)
{
    char options[64];
    qn_kernel *kernel;
    const float a = 0.5f, b = -0.25f;
    const bool x86 = unit->unit == 0;
    size_t local = x86 ? 1 : 4 * (size_t)unit->lanes;
    size_t groups = (size_t)device->caps.compute_units * (x86 ? 16 : 8);
    double took = 0;
    snprintf(options, sizeof options, x86 ? "" : "-DQN_UNIT=%d", unit->unit);
    QN_TRY(qn__device_kernel(device, unit->file, options, "peak_matrix", &kernel));
    QN_TRY(set_args(kernel, out, NULL));
    QN_TRY(qn__kernel_arg(kernel, 3, sizeof a, &a));
    QN_TRY(qn__kernel_arg(kernel, 4, sizeof b, &b));
    for (int rounds = 1 << 9;; rounds *= 4) {
        QN_TRY(qn__kernel_arg(kernel, 2, sizeof rounds, &rounds));
        QN_TRY(time_launch(device, kernel, groups * local, local, &took));
        double of_units = (double)groups * (x86 ? 1 : 4);
        *rate = unit->operations * of_units * rounds / took * 1e-9;
        if (took > 0.02 || rounds >= 1 << 24) return QN_OK;
    }
}

/* The first proven unit's, in bf16 or in int8; 0 where there is none. */
static qn_status measure_matrix(qn_device *device, qn_buffer *out, bool int8, double *rate)
{
    *rate = 0;
    for (size_t i = 0; i < sizeof matrix_units / sizeof matrix_units[0]; i++)
        if (matrix_units[i].int8 == int8 && qn__proven(&device->caps, matrix_units[i].probe))
            return measure_unit(device, out, &matrix_units[i], rate);
    return QN_OK;
}

static qn_status measure_read(qn_device *device, qn_buffer *out, bool wide, size_t items,
                              double *gbytes)
{
    char options[64];
    qn_kernel *kernel;
    qn_buffer *data;
    double took = 0;
    uint64_t bytes = 512u << 20;
    while (bytes > (8u << 20) &&
           (bytes > device->caps.max_alloc_bytes || bytes > device->caps.global_bytes / 4))
        bytes /= 2;
    int width = wide ? 16 : 1;
    uint64_t vectors = bytes / 4 / (uint64_t)width;
    snprintf(options, sizeof options, "-DQN_W=%d -DQN_CHAINS=%d", width, CHAINS);
    QN_TRY(qn__device_kernel(device, "peak.cl", options, "peak_read", &kernel));
    QN_TRY(qn__buffer_create(device, bytes, "bandwidth measurement", &data));
    qn_status status = set_args(kernel, out, data);
    if (status == QN_OK) status = qn__kernel_arg(kernel, 4, sizeof vectors, &vectors);
    if (status == QN_OK) status = time_launch(device, kernel, items, wide ? 1 : 64, &took);
    qn__buffer_destroy(&data);
    if (status == QN_OK) *gbytes = (double)bytes / took * 1e-9;
    return status;
}

static char *peaks_path(const qn_caps *caps)
{
    return qn__cache_path("peaks-%016llx.json", (unsigned long long)qn__caps_key(caps));
}

bool qn__peaks_cached(qn_caps *caps)
{
    char *path = peaks_path(caps);
    json_t *root = NULL;
    bool good =
        path && qn__is_file(path) && qn__json_load(path, &root) == QN_OK &&
        qn__json_f64(root, path, "gflops", true, &caps->peak_gflops) == QN_OK &&
        qn__json_f64(root, path, "gbytes_per_s", true, &caps->peak_gbytes) == QN_OK &&
        qn__json_f64(root, path, "matrix_gflops", true, &caps->peak_matrix_gflops) == QN_OK &&
        qn__json_f64(root, path, "int8_gops", true, &caps->peak_int8_gops) == QN_OK;
    json_decref(root);
    free(path);
    return good;
}

static void keep(const qn_caps *caps)
{
    char *path = peaks_path(caps);
    json_t *root = json_pack("{s:f,s:f,s:f,s:f}", "gflops", caps->peak_gflops, "gbytes_per_s",
                             caps->peak_gbytes, "matrix_gflops", caps->peak_matrix_gflops,
                             "int8_gops", caps->peak_int8_gops);
    if (path && root && qn__json_save(path, root) != QN_OK)
        qn__log(QN_LOG_WARN, "peaks not kept: %s", qn_last_error());
    json_decref(root);
    free(path);
}

static bool is_wide(const qn_caps *caps)
{
    return caps->type == QN_CPU && qn__proven(caps, QN_PROBE_VECTOR16);
}

static size_t peak_items(const qn_caps *caps)
{
    return (size_t)caps->compute_units * (is_wide(caps) ? 16 : 2048);
}

qn_status qn__device_read_rate(qn_device *device, double *gbytes)
{
    qn_buffer *out;
    size_t items = peak_items(&device->caps);
    QN_TRY(qn__buffer_create(device, items * 64, "bandwidth measurement", &out));
    qn_status status = measure_read(device, out, is_wide(&device->caps), items, gbytes);
    qn__buffer_destroy(&out);
    return status;
}

qn_status qn_device_measure(qn_device *device, qn_peaks *peaks)
{
    qn_buffer *out;
    qn_caps *caps = &device->caps;
    bool wide = is_wide(caps);
    size_t items = peak_items(caps);
    int rounds = 0;
    *peaks = (qn_peaks){0};
    QN_TRY(qn__buffer_create(device, items * 64, "peak measurement", &out));
    qn_status status = measure_fma(device, out, wide, items, &peaks->gflops, &rounds);
    if (status == QN_OK) status = measure_read(device, out, wide, items, &peaks->gbytes_per_s);
    if (status == QN_OK) status = measure_matrix(device, out, false, &peaks->matrix_gflops);
    if (status == QN_OK) status = measure_matrix(device, out, true, &peaks->int8_gops);
    qn__buffer_destroy(&out);
    if (status != QN_OK) return status;
    if (caps->type == QN_CPU) {
        int threads = caps->compute_units, long_rounds = rounds * 16;
        peaks->host_gflops = host_gflops(threads, long_rounds, HOST_F32);
        if (qn__proven(caps, QN_PROBE_X86_BF16) && !qn__proven(caps, QN_PROBE_X86_AMX_BF16))
            peaks->host_matrix_gflops = host_gflops(threads, long_rounds, HOST_BF16);
        if (qn__proven(caps, QN_PROBE_X86_VNNI) && !qn__proven(caps, QN_PROBE_X86_AMX_INT8))
            peaks->host_int8_gops = host_gflops(threads, long_rounds, HOST_INT8);
    }
    caps->peak_gflops = peaks->gflops;
    caps->peak_gbytes = peaks->gbytes_per_s;
    caps->peak_matrix_gflops = peaks->matrix_gflops;
    caps->peak_int8_gops = peaks->int8_gops;
    keep(caps);
    return QN_OK;
}
