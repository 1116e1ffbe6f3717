/* Probes: what a device can do is found by running a kernel and checking its numbers. The first run
 * happens in a helper process, because a wrong guess can kill the process; verdicts are kept a
 * device, driver and source. */
#include "device/opencl.h"

#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "numeric/half.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { ITEMS = 256, PROBE_TIMEOUT_S = 120 };

static const struct {
    const char *name, *file;
} probes[] = {
#define QN_PROBE(name, NAME, what) {#name, "probe_" #name ".cl"},
#include "device/probes.def"
#undef QN_PROBE
};

/* Four buffers, the kernel, and the arguments (buffer, 0) for each of `buffers`. grid: groups,
 * items a group. */
static qn_status run_kernel_as(qn_device *device, qn_probe_id probe, const char *options,
                               float data[4][ITEMS], int buffers, bool count_argument,
                               const size_t grid[2])
{
    qn_buffer *memory[4] = {NULL};
    qn_kernel *kernel;
    char name[64];
    const uint64_t zero = 0;
    const int n = ITEMS;
    qn_status status = QN_OK;
    snprintf(name, sizeof name, "probe_%s", probes[probe].name);
    QN_TRY(qn__device_kernel(device, probes[probe].file, options, name, &kernel));
    for (int i = 0; i < buffers && status == QN_OK; i++) {
        status = qn__buffer_create(device, sizeof data[0], "probe", &memory[i]);
        if (status == QN_OK) status = qn__buffer_write(memory[i], 0, data[i], sizeof data[0]);
        if (status == QN_OK) status = qn__kernel_arg_buffer(kernel, 2 * i, memory[i]);
        if (status == QN_OK) status = qn__kernel_arg(kernel, 2 * i + 1, sizeof zero, &zero);
    }
    if (status == QN_OK && count_argument)
        status = qn__kernel_arg(kernel, 2 * buffers, sizeof n, &n);
    if (status == QN_OK) status = qn__device_launch(device, kernel, 1, &grid[0], &grid[1], 0);
    if (status == QN_OK) status = qn__buffer_read(memory[0], 0, data[0], sizeof data[0]);
    for (int i = 0; i < buffers; i++) qn__buffer_destroy(&memory[i]);
    return status;
}

static qn_status run_kernel(qn_device *device, qn_probe_id probe, float data[4][ITEMS], int buffers,
                            bool count_argument, size_t groups, size_t local)
{
    const size_t grid[2] = {groups, local};
    return run_kernel_as(device, probe, "", data, buffers, count_argument, grid);
}

static bool prove_basic(qn_device *device, float data[4][ITEMS])
{
    int a[ITEMS], out[ITEMS];
    for (int i = 0; i < ITEMS; i++) a[i] = i * 7919 - 1000;
    memcpy(data[1], a, sizeof a);
    if (run_kernel(device, QN_PROBE_BASIC, data, 2, true, ITEMS / 64, 64) != QN_OK) return false;
    memcpy(out, data[0], sizeof out);
    for (int i = 0; i < ITEMS; i++)
        if (out[i] != a[i] * 3 + (i ^ 5)) return false;
    return true;
}

static bool prove_vector16(qn_device *device, float data[4][ITEMS])
{
    float want[ITEMS];
    for (int i = 0; i < ITEMS;
         i++) { /* a * b is just not c: only a fused result keeps the difference */
        data[1][i] = 1.0f + (float)(i + 1) * 0x1p-20f;
        data[2][i] = 1.0f - (float)(i + 3) * 0x1p-21f;
        data[3][i] = -data[1][i] * data[2][i];
        want[i] = fmaf(data[1][i], data[2][i], data[3][i]);
    }
    if (run_kernel(device, QN_PROBE_VECTOR16, data, 4, false, ITEMS / 16, 1) != QN_OK) return false;
    return memcmp(want, data[0], sizeof want) == 0;
}

static bool prove_local(qn_device *device, float data[4][ITEMS])
{
    for (int i = 0; i < ITEMS; i++) data[1][i] = (float)(i * i);
    if (run_kernel(device, QN_PROBE_LOCAL, data, 2, false, ITEMS / 64, 64) != QN_OK) return false;
    for (int i = 0; i < ITEMS; i++)
        if (data[0][i] != data[1][i / 64 * 64 + 63 - i % 64]) return false;
    return true;
}

static bool prove_half(qn_device *device, float data[4][ITEMS])
{
    for (int i = 0; i < ITEMS; i++)
        data[2][i] =
            (i % 2 ? -1.0f : 1.0f) * ldexpf(1.0f + (float)(i * 37 % 255) / 255.0f, i % 48 - 30);
    if (run_kernel(device, QN_PROBE_HALF, data, 3, false, ITEMS / 64, 64) != QN_OK) return false;
    for (int i = 0; i < ITEMS; i++)
        if (data[0][i] != qn__f16_to_f32(qn__f32_to_f16(data[2][i]))) return false;
    return true;
}

static bool prove_shuffle(qn_device *device, qn_probe_id probe, float data[4][ITEMS])
{
    for (int i = 0; i < ITEMS; i++) data[1][i] = (float)(i * 37 % 1009);
    if (run_kernel(device, probe, data, 2, false, ITEMS / 64, 64) != QN_OK) return false;
    for (int i = 0; i < ITEMS; i++)
        if (data[0][i] !=
            data[1][i ^ 8] + 2 * data[1][i ^ 4] + 4 * data[1][i ^ 2] + 8 * data[1][i ^ 1])
            return false;
    return true;
}

#define PROVE_SHUFFLE(name, NAME)                                                                  \
    static bool prove_shuffle_##name(qn_device *device, float data[4][ITEMS])                      \
    {                                                                                              \
        return prove_shuffle(device, QN_PROBE_SHUFFLE_##NAME, data);                               \
    }
PROVE_SHUFFLE(ptx, PTX)
PROVE_SHUFFLE(intel, INTEL)
PROVE_SHUFFLE(khr, KHR)
PROVE_SHUFFLE(amd, AMD)

/* One program of a matrix unit's probe: c + a b of small integers, which is exact. */
static bool multiplies(qn_device *device, qn_probe_id probe, size_t lanes, bool bf16, bool a_turned,
                       bool b_turned)
{
    float data[4][ITEMS], want[ITEMS];
    uint16_t a[512], b[512];
    char options[96];
    memset(data, 0, sizeof data);
    for (int i = 0; i < ITEMS; i++) {
        double sum = data[3][i] = (float)(i * 29 % 97 - 40);
        for (int k = 0; k < 32; k++) {
            int m = i / 16, n = i % 16, x = (m * 5 + k * 3) % 17 - 8, y = (k * 7 + n * 2) % 13 - 5;
            a[a_turned ? k * 16 + m : m * 32 + k] =
                bf16 ? qn__f32_to_bf16((float)x) : qn__f32_to_f16((float)x);
            b[b_turned ? n * 32 + k : k * 16 + n] =
                bf16 ? qn__f32_to_bf16((float)y) : qn__f32_to_f16((float)y);
            sum += x * y;
        }
        want[i] = (float)sum;
    }
    memcpy(data[1], a, sizeof a);
    memcpy(data[2], b, sizeof b);
    snprintf(options, sizeof options, "-DQN_T=%d -DQN_A_TURNED=%d -DQN_B_TURNED=%d", bf16 ? 2 : 1,
             a_turned, b_turned);
    const size_t grid[2] = {1, 4 * lanes};
    return run_kernel_as(device, probe, options, data, 4, false, grid) == QN_OK &&
           memcmp(want, data[0], sizeof want) == 0;
}

#define PROVE_MATRIX(name, NAME, lanes)                                                            \
    static bool prove_matrix_##name(qn_device *device, float data[4][ITEMS])                       \
    {                                                                                              \
        (void)data;                                                                                \
        for (int way = 0; way < 8; way++)                                                          \
            if (!multiplies(device, QN_PROBE_MATRIX_##NAME, lanes, way & 4, way & 2, way & 1))     \
                return false;                                                                      \
        return true;                                                                               \
    }
PROVE_MATRIX(ptx, PTX, 32)
PROVE_MATRIX(dpas8, DPAS8, 8)
PROVE_MATRIX(dpas16, DPAS16, 16)
PROVE_MATRIX(mfma, MFMA, 64)
PROVE_MATRIX(wmma, WMMA, 32)

/* Bytes of either sign where they must be signed, past 127 where they must not; some sums pass
 * 2^31. */
static bool adds_bytes(qn_device *device, qn_probe_id probe, const char *options,
                       float data[4][ITEMS], const size_t grid[2])
{
    uint32_t a[ITEMS], b[ITEMS], c[ITEMS], want[ITEMS];
    for (int i = 0; i < ITEMS; i++) {
        a[i] = b[i] = 0;
        c[i] = want[i] = i % 5 == 0 ? (uint32_t)INT32_MAX - 99 : (uint32_t)(i * 311 - 40000);
        for (int j = 0; j < 4; j++) {
            int x = (i * 37 + j * 101) % 256, y = (i * 53 + j * 89) % 256 - 128;
            a[i] |= (uint32_t)x << 8 * j;
            b[i] |= ((uint32_t)y & 255) << 8 * j;
            want[i] += (uint32_t)(x * y);
        }
    }
    memcpy(data[1], a, sizeof a);
    memcpy(data[2], b, sizeof b);
    memcpy(data[3], c, sizeof c);
    return run_kernel_as(device, probe, options, data, 4, false, grid) == QN_OK &&
           memcmp(want, data[0], sizeof want) == 0;
}

#define PROVE_DOT(name, NAME, options)                                                             \
    static bool prove_dot_##name(qn_device *device, float data[4][ITEMS])                          \
    {                                                                                              \
        const size_t grid[2] = {ITEMS / 64, 64};                                                   \
        return adds_bytes(device, QN_PROBE_DOT_##NAME, options, data, grid);                       \
    }
PROVE_DOT(ptx, PTX, "")
PROVE_DOT(khr, KHR, "-cl-std=CL3.0")
PROVE_DOT(amd, AMD, "")
PROVE_DOT(amd11, AMD11, "")

/* What only GPUs have need not be tried on a CPU. */
static bool worth_trying(const qn_caps *caps, qn_probe_id probe)
{
    return caps->type != QN_CPU || probe < QN_PROBE_SHUFFLE_PTX || probe > QN_PROBE_MATRIX_WMMA;
}

/* Pairs that add up exactly in float, so that the order inside the instruction does not show. */
static bool prove_x86_bf16(qn_device *device, float data[4][ITEMS])
{
    uint32_t a[ITEMS], b[ITEMS];
    float want[ITEMS];
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512bf16")) return false;
#else
    return false;
#endif
    for (int i = 0; i < ITEMS; i++) {
        float a0 = (float)(i % 61 - 30), a1 = (float)(i % 37 + 1), b0 = (float)(i % 13 - 6) * 0.25f,
              b1 = (float)(i % 53 - 26) * 2;
        a[i] = (uint32_t)qn__f32_to_bf16(a1) << 16 | qn__f32_to_bf16(a0);
        b[i] = (uint32_t)qn__f32_to_bf16(b1) << 16 | qn__f32_to_bf16(b0);
        data[3][i] = (float)(i * 3 - 200) * 0.5f;
        want[i] = data[3][i] + a0 * b0 + a1 * b1;
    }
    memcpy(data[1], a, sizeof a);
    memcpy(data[2], b, sizeof b);
    if (run_kernel(device, QN_PROBE_X86_BF16, data, 4, false, ITEMS / 16, 1) != QN_OK) return false;
    return memcmp(want, data[0], sizeof want) == 0;
}

static bool prove_x86_vnni(qn_device *device, float data[4][ITEMS])
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512vnni")) return false;
#else
    return false;
#endif
    const size_t grid[2] = {ITEMS / 16, 1};
    return adds_bytes(device, QN_PROBE_X86_VNNI, "", data, grid);
}

/* A unit without its permission kills the process that tries it: asked first. Sums of bf16 in the
 * order of tile_unit.clh, which rounds nearly every one. */
static bool prove_x86_amx_bf16(qn_device *device, float data[4][ITEMS])
{
    uint32_t a[ITEMS], b[ITEMS];
    float want[ITEMS];
    if (!qn__amx_permitted(QN_AMX_BF16)) return false;
    for (int i = 0; i < ITEMS; i++) {
        a[i] = (uint32_t)qn__f32_to_bf16((float)(i * 7 % 251) * 0.37f - 31) << 16 |
               qn__f32_to_bf16((float)(i * 11 % 239) * 0.53f - 57);
        b[i] = (uint32_t)qn__f32_to_bf16((float)(i * 5 % 241) * 0.29f - 23) << 16 |
               qn__f32_to_bf16((float)(i * 13 % 233) * 0.41f - 39);
        data[3][i] = (float)(i * 29 % 97 - 40) * 0.7f;
    }
    for (int i = 0; i < ITEMS; i++) {
        float even = 0, odd = 0;
        for (int k = 0; k < 16; k++) {
            uint32_t x = a[i / 16 * 16 + k], y = b[k * 16 + i % 16];
            even = fmaf(qn__bf16_to_f32((uint16_t)x), qn__bf16_to_f32((uint16_t)y), even);
            odd = fmaf(qn__bf16_to_f32((uint16_t)(x >> 16)), qn__bf16_to_f32((uint16_t)(y >> 16)),
                       odd);
        }
        want[i] = data[3][i] + (even + odd);
    }
    memcpy(data[1], a, sizeof a);
    memcpy(data[2], b, sizeof b);
    if (run_kernel(device, QN_PROBE_X86_AMX_BF16, data, 4, false, 1, 1) != QN_OK) return false;
    return memcmp(want, data[0], sizeof want) == 0;
}

static bool prove_x86_amx_int8(qn_device *device, float data[4][ITEMS])
{
    uint32_t a[ITEMS], b[ITEMS], c[ITEMS], want[ITEMS];
    if (!qn__amx_permitted(QN_AMX_INT8)) return false;
    for (int i = 0; i < ITEMS; i++) {
        a[i] = (uint32_t)i * 2654435761u;
        b[i] = (uint32_t)i * 2246822519u + 374761393u;
        c[i] = i % 5 == 0 ? (uint32_t)INT32_MAX - 99 : (uint32_t)(i * 311 - 40000);
    }
    for (int i = 0; i < ITEMS; i++) {
        want[i] = c[i];
        for (int k = 0; k < 64; k++) {
            int x = a[i / 16 * 16 + k / 4] >> k % 4 * 8 & 255;
            int y = (int)(b[k / 4 * 16 + i % 16] >> k % 4 * 8 & 255);
            want[i] += (uint32_t)(x * (y < 128 ? y : y - 256));
        }
    }
    memcpy(data[1], a, sizeof a);
    memcpy(data[2], b, sizeof b);
    memcpy(data[3], c, sizeof c);
    if (run_kernel(device, QN_PROBE_X86_AMX_INT8, data, 4, false, 1, 1) != QN_OK) return false;
    return memcmp(want, data[0], sizeof want) == 0;
}

bool qn__probe_find(const char *name, qn_probe_id *probe)
{
    for (int i = 0; i < QN_PROBE_COUNT; i++) {
        if (strcmp(name, probes[i].name) != 0) continue;
        *probe = (qn_probe_id)i;
        return true;
    }
    return false;
}

qn_verdict qn__probe_run(qn_device *device, qn_probe_id probe)
{
    static bool (*const provers[])(qn_device *, float[4][ITEMS]) = {
#define QN_PROBE(name, NAME, what) prove_##name,
#include "device/probes.def"
#undef QN_PROBE
    };
    float data[4][ITEMS];
    memset(data, 0, sizeof data);
    return provers[probe](device, data) ? QN_PROVEN : QN_REFUTED;
}

/* ---- the helper process ---- */

/* Beside this library, beside the command, or where `cmake --install` puts it. */
static bool find_helper(char *path, size_t bytes)
{
    const char *own = getenv("QN_PROBE");
    Dl_info info;
    char self[4096];
    if (own && *own) {
        snprintf(path, bytes, "%s", own);
        return access(path, X_OK) == 0;
    }
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length > 0) {
        self[length] = 0;
        char *slash = strrchr(self, '/');
        const char *places[] = {"quernel-probe", "../quernel-probe",
                                "../libexec/quernel/quernel-probe"};
        for (size_t i = 0; slash && i < sizeof places / sizeof places[0]; i++) {
            snprintf(path, bytes, "%.*s/%s", (int)(slash - self), self, places[i]);
            if (access(path, X_OK) == 0) return true;
        }
    }
    if (dladdr((const void *)(uintptr_t)find_helper, &info) && info.dli_fname) {
        const char *slash = strrchr(info.dli_fname, '/');
        const char *places[] = {"quernel-probe", "../libexec/quernel/quernel-probe",
                                "../../libexec/quernel/quernel-probe"};
        for (size_t i = 0; slash && i < sizeof places / sizeof places[0]; i++) {
            snprintf(path, bytes, "%.*s/%s", (int)(slash - info.dli_fname), info.dli_fname,
                     places[i]);
            if (access(path, X_OK) == 0) return true;
        }
    }
    snprintf(path, bytes, "%s", QN_PROBE_PATH);
    return access(path, X_OK) == 0;
}

/* Run the helper for one probe: what it printed decides; silence, a crash or a hang is a
 * refutation. */
static qn_verdict ask_helper(const char *helper, int index, qn_probe_id probe)
{
    int ends[2];
    pid_t pid;
    char number[16], answer[64] = "";
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC) != 0) return QN_UNKNOWN;
    snprintf(number, sizeof number, "%d", index);
    char *argv[] = {(char *)(uintptr_t)helper, number, (char *)(uintptr_t)probes[probe].name, NULL};
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int error = posix_spawn(&pid, helper, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (error != 0) {
        close(ends[0]);
        return QN_UNKNOWN;
    }
    struct pollfd ready = {.fd = ends[0], .events = POLLIN};
    if (poll(&ready, 1, PROBE_TIMEOUT_S * 1000) > 0) {
        ssize_t got = read(ends[0], answer, sizeof answer - 1);
        if (got > 0) answer[got] = 0;
    } else {
        kill(pid, SIGKILL);
    }
    close(ends[0]);
    int state = 0;
    while (waitpid(pid, &state, 0) < 0 && errno == EINTR) continue;
    bool clean = WIFEXITED(state) && WEXITSTATUS(state) == 0;
    return clean && strncmp(answer, "proven", 6) == 0 ? QN_PROVEN : QN_REFUTED;
}

static uint64_t verdict_key(const qn_caps *caps)
{
    uint64_t key = qn__caps_key(caps);
    for (int i = 0; i < QN_PROBE_COUNT; i++) {
        char *source;
        if (qn__kernel_source(probes[i].file, &source) != QN_OK) continue;
        key = qn__hash_seeded(source, strlen(source), key);
        free(source);
    }
    return key;
}

static char *verdict_path(const qn_caps *caps)
{
    return qn__cache_path("probes-%016llx.json", (unsigned long long)verdict_key(caps));
}

static bool load_verdicts(const char *path, qn_caps *caps)
{
    json_t *root;
    bool whole = true;
    if (!path || !qn__is_file(path) || qn__json_load(path, &root) != QN_OK) return false;
    for (int i = 0; i < QN_PROBE_COUNT; i++) {
        int64_t verdict = 0;
        if (qn__json_i64(root, path, probes[i].name, true, QN_PROVEN, QN_REFUTED, &verdict) !=
            QN_OK)
            whole = false;
        caps->probe[i] = (qn_verdict)verdict;
    }
    json_decref(root);
    return whole;
}

static void save_verdicts(const char *path, const qn_caps *caps)
{
    json_t *root = json_object();
    for (int i = 0; i < QN_PROBE_COUNT; i++) {
        if (caps->probe[i] == QN_UNKNOWN) path = NULL; /* keep only what was really tried */
        json_object_set_new(root, probes[i].name, json_integer(caps->probe[i]));
    }
    if (path && qn__json_save(path, root) != QN_OK)
        qn__log(QN_LOG_WARN, "probe verdicts not kept: %s", qn_last_error());
    json_decref(root);
}

qn_status qn__probe_all(qn_caps *caps, int index)
{
    char helper[4096];
    char *path = verdict_path(caps);
    if (!load_verdicts(path, caps)) {
        bool there = find_helper(helper, sizeof helper);
        if (!there)
            qn__log(QN_LOG_WARN, "quernel-probe was not found (set QN_PROBE to its path): only "
                                 "plain kernels are used");
        for (int i = 0; i < QN_PROBE_COUNT; i++) {
            if (!worth_trying(caps, (qn_probe_id)i)) caps->probe[i] = QN_REFUTED;
            else caps->probe[i] = there ? ask_helper(helper, index, (qn_probe_id)i) : QN_UNKNOWN;
            qn__log(QN_LOG_VERBOSE, "probe %s on %s: %s", probes[i].name, caps->name,
                    caps->probe[i] == QN_PROVEN ? "proven" : "not proven");
        }
        save_verdicts(path, caps);
    }
    free(path);
    return QN_OK;
}
