/* Kernel sources, programs, and their caches: in the process by (file, options), on disk by
 * everything a binary depends on. */
#include "device/opencl.h"

#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/str.h"
#include "device/kernel_table.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { MAX_INCLUDE_DEPTH = 8, MAX_INCLUDES = 64 };

/* One file's text: from $QN_KERNEL_DIR if set and there, else from the library. The caller frees.
 */
static qn_status load_file(const char *name, char **text)
{
    const char *folder = getenv("QN_KERNEL_DIR");
    *text = NULL;
    if (folder && *folder) {
        char *path = qn__path_join(folder, name);
        size_t bytes;
        if (!path) return qn__fail(QN_OS_ERROR, "out of memory");
        qn_status status = qn__is_file(path) ? qn__file_read(path, text, &bytes) : QN_OK;
        free(path);
        if (status != QN_OK || *text) return status;
    }
    for (const qn_kernel_source *row = qn__kernel_table; row->name; row++) {
        if (strcmp(row->name, name) != 0) continue;
        *text = strdup(row->text);
        return *text ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
    }
    return qn__fail(QN_INTERNAL, "no kernel source \"%s\"", name);
}

uint64_t qn__kernel_sources_key(uint64_t seed)
{
    for (const qn_kernel_source *row = qn__kernel_table; row->name; row++) {
        char *text;
        if (load_file(row->name, &text) != QN_OK) continue;
        seed = qn__hash_seeded(text, strlen(text), seed);
        free(text);
    }
    return seed;
}

typedef struct include_set {
    char names[MAX_INCLUDES][64];
    int count;
} include_set;

/* Each header is pasted once in a program, except those that say `#pragma quernel repeat`. */
static bool seen_before(include_set *seen, const char *name)
{
    for (int i = 0; i < seen->count; i++)
        if (strcmp(seen->names[i], name) == 0) return true;
    if (seen->count < MAX_INCLUDES)
        snprintf(seen->names[seen->count++], sizeof seen->names[0], "%s", name);
    return false;
}

static qn_status expand(const char *name, int depth, include_set *seen, qn_str *out)
{
    char *text;
    if (depth > MAX_INCLUDE_DEPTH)
        return qn__fail(QN_INTERNAL, "%s: includes nest too deeply", name);
    QN_TRY(load_file(name, &text));
    if (!strstr(text, "#pragma quernel repeat") && seen_before(seen, name)) {
        free(text);
        return QN_OK;
    }
    qn_status status = QN_OK;
    int line_number = 0;
    for (char *line = text; status == QN_OK && *line;) {
        char *end = strchr(line, '\n');
        size_t length = end ? (size_t)(end - line) : strlen(line);
        char header[64];
        line_number++;
        if (sscanf(line, "#include \"%63[^\"\n]\"", header) == 1) {
            status = expand(header, depth + 1, seen, out);
            qn__str_add(out, "#line %d\n", line_number + 1);
        } else if (strncmp(line, "#pragma quernel", 15) != 0 &&
                   strncmp(line, "#pragma once", 12) != 0) {
            qn__str_add_bytes(out, line, length);
            qn__str_add_bytes(out, "\n", 1);
        } else {
            qn__str_add_bytes(out, "\n", 1);
        }
        line += length + (end ? 1 : 0);
    }
    free(text);
    return status;
}

qn_status qn__kernel_source(const char *file, char **source)
{
    qn_str text = {0};
    include_set seen = {.count = 0};
    *source = NULL;
    qn_status status = expand(file, 0, &seen, &text);
    if (status == QN_OK && text.failed) status = qn__fail(QN_OS_ERROR, "out of memory");
    if (status != QN_OK) {
        qn__str_free(&text);
        return status;
    }
    *source = text.data;
    return QN_OK;
}

/* ---- binaries on disk: "<cache>/programs/<key>.bin", magic, key, bytes, checksum, then the binary
 * ---- */

typedef struct binary_header {
    char magic[8];
    uint64_t key, bytes, checksum;
} binary_header;

static const char binary_magic[8] = "QNBIN01";

static char *program_path(uint64_t key)
{
    return qn__cache_path("programs/%016llx.bin", (unsigned long long)key);
}

static cl_program load_binary(qn_device *device, uint64_t key, const char *options)
{
    char *path = program_path(key);
    char *file = NULL;
    size_t bytes = 0;
    cl_program program = NULL;
    binary_header header;
    if (path && qn__is_file(path) && qn__file_read(path, &file, &bytes) == QN_OK &&
        bytes > sizeof header) {
        memcpy(&header, file, sizeof header);
        const unsigned char *binary = (const unsigned char *)file + sizeof header;
        size_t size = bytes - sizeof header;
        cl_int code = CL_INVALID_BINARY, one = 0;
        if (memcmp(header.magic, binary_magic, 8) == 0 && header.key == key &&
            header.bytes == size && header.checksum == qn__hash(binary, size))
            program = clCreateProgramWithBinary(device->context, 1, &device->id, &size, &binary,
                                                &one, &code);
        if (program &&
            (code != CL_SUCCESS || one != CL_SUCCESS ||
             clBuildProgram(program, 1, &device->id, options, NULL, NULL) != CL_SUCCESS)) {
            clReleaseProgram(program); /* a stale or foreign binary: build again from source */
            program = NULL;
        }
    }
    free(file);
    free(path);
    return program;
}

static void save_binary(cl_program program, uint64_t key)
{
    size_t bytes = 0;
    if (clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof bytes, &bytes, NULL) !=
            CL_SUCCESS ||
        bytes == 0 || bytes > (size_t)1 << 28)
        return;
    unsigned char *file = malloc(sizeof(binary_header) + bytes);
    if (!file) return;
    unsigned char *binary = file + sizeof(binary_header);
    if (clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) ==
        CL_SUCCESS) {
        binary_header header = {.key = key, .bytes = bytes, .checksum = qn__hash(binary, bytes)};
        memcpy(header.magic, binary_magic, 8);
        memcpy(file, &header, sizeof header);
        char *path = program_path(key);
        if (path && qn__file_replace(path, file, sizeof header + bytes) != QN_OK)
            qn__log(QN_LOG_VERBOSE, "program not cached: %s", qn_last_error());
        free(path);
    }
    free(file);
}

/* ---- building ---- */

static qn_status build_failed(qn_device *device, cl_program program, const char *what, cl_int code)
{
    char log[1400];
    size_t got = 0;
    log[0] = 0;
    clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, sizeof log - 1, log, &got);
    log[got < sizeof log ? got : sizeof log - 1] = 0;
    return qn__fail(QN_INTERNAL, "%s: building %s failed: %s\n%s", device->caps.name, what,
                    qn__cl_text(code), log);
}

/* A lock file, so that one process at a time builds where the driver's own cache cannot stand more.
 */
static int build_lock(const qn_device *device)
{
    if (!qn__quirk(&device->caps, QN_QUIRK_BUILD_LOCK)) return -1;
    char *path =
        qn__cache_path("locks/%016llx.lock", (unsigned long long)qn__caps_key(&device->caps));
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
    free(path);
    if (fd >= 0) flock(fd, LOCK_EX);
    return fd;
}

static qn_status build(qn_device *device, const char *source, const char *options, const char *what,
                       cl_program *program)
{
    cl_int code;
    *program = clCreateProgramWithSource(device->context, 1, &source, NULL, &code);
    if (code != CL_SUCCESS)
        return qn__cl_fail(code, "clCreateProgramWithSource", device->caps.name);
    int lock = build_lock(device);
    code = clBuildProgram(*program, 1, &device->id, options, NULL, NULL);
    if (lock >= 0) close(lock);
    if (code == CL_SUCCESS) return QN_OK;
    qn_status status = build_failed(device, *program, what, code);
    clReleaseProgram(*program);
    *program = NULL;
    return status;
}

static qn_status make_program(qn_device *device, const char *file, const char *options,
                              qn_program *made)
{
    char *source;
    char all_options[1024];
    snprintf(all_options, sizeof all_options, "%s%s%s",
             strstr(options, "-cl-std=") ? "" : "-cl-std=CL1.2 ",
             device->caps.fma ? "-DQN_HAS_FMA=1 " : "", options);
    QN_TRY(qn__kernel_source(file, &source));
    uint64_t key = qn__hash_seeded(source, strlen(source), qn__caps_key(&device->caps));
    key = qn__hash_seeded(all_options, strlen(all_options), key);
    bool disk = !qn__quirk(&device->caps, QN_QUIRK_OWN_BINARY_CACHE);
    qn_status status = QN_OK;
    made->program = disk ? load_binary(device, key, all_options) : NULL;
    if (made->program) {
        device->cached++;
    } else {
        status = build(device, source, all_options, made->key, &made->program);
        device->built++;
        if (status == QN_OK && disk) save_binary(made->program, key);
    }
    free(source);
    return status;
}

static qn_status find_program(qn_device *device, const char *file, const char *options,
                              qn_program **found)
{
    char key[1200];
    snprintf(key, sizeof key, "%s %s", file, options);
    uint64_t hash = qn__hash(key, strlen(key));
    for (int i = 0; i < device->program_count; i++) {
        if (device->programs[i].key_hash != hash || strcmp(device->programs[i].key, key) != 0)
            continue;
        *found = &device->programs[i];
        return QN_OK;
    }
    if (device->program_count == device->program_capacity) {
        int capacity = device->program_capacity ? device->program_capacity * 2 : 32;
        qn_program *more = realloc(device->programs, (size_t)capacity * sizeof *more);
        if (!more) return qn__fail(QN_OS_ERROR, "out of memory");
        device->programs = more;
        device->program_capacity = capacity;
    }
    qn_program made = {.key = strdup(key), .key_hash = hash};
    if (!made.key) return qn__fail(QN_OS_ERROR, "out of memory");
    qn_status status = make_program(device, file, options, &made);
    if (status != QN_OK) {
        free(made.key);
        return status;
    }
    *found = &device->programs[device->program_count++];
    **found = made;
    return QN_OK;
}

qn_status qn__device_kernel(qn_device *device, const char *file, const char *options,
                            const char *name, qn_kernel **kernel)
{
    qn_program *program = NULL;
    cl_int code;
    *kernel = NULL;
    QN_TRY(find_program(device, file, options, &program));
    for (qn_kernel *at = program->kernels; at; at = at->next) {
        if (strcmp(at->kernel_name, name) != 0) continue;
        *kernel = at;
        return QN_OK;
    }
    qn_kernel *made = calloc(1, sizeof *made);
    if (!made) return qn__fail(QN_OS_ERROR, "out of memory");
    snprintf(made->name, sizeof made->name, "%s:%s", file, name);
    snprintf(made->kernel_name, sizeof made->kernel_name, "%s", name);
    made->kernel = clCreateKernel(program->program, name, &code);
    if (code != CL_SUCCESS) {
        qn_status status = qn__fail(QN_INTERNAL, "%s: no kernel \"%s\" in %s: %s",
                                    device->caps.name, name, file, qn__cl_text(code));
        free(made);
        return status;
    }
    made->next = program->kernels;
    program->kernels = made;
    *kernel = made;
    return QN_OK;
}

void qn__programs_free(qn_device *device)
{
    for (int i = 0; i < device->program_count; i++) {
        qn_program *program = &device->programs[i];
        while (program->kernels) {
            qn_kernel *next = program->kernels->next;
            clReleaseKernel(program->kernels->kernel);
            free(program->kernels);
            program->kernels = next;
        }
        clReleaseProgram(program->program);
        free(program->key);
    }
    free(device->programs);
}

void qn__device_program_counts(const qn_device *device, int *built, int *cached)
{
    *built = device->built;
    *cached = device->cached;
}
