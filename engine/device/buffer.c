/* Device memory: made, touched at once, counted. */
#include "device/opencl.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

/* Host pages for devices that compute in host memory: huge ones where the system gives them, which
 * spares the TLB when a matrix is read by columns. */
static void *host_pages(uint64_t bytes, uint64_t *mapped)
{
    *mapped = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE + HUGE_PAGE;
    char *raw = mmap(NULL, *mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED) return NULL;
    char *aligned = (char *)(((uintptr_t)raw + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
    if (aligned > raw) munmap(raw, (size_t)(aligned - raw));
    *mapped -= (uint64_t)(aligned - raw);
    madvise(aligned, *mapped, MADV_HUGEPAGE);
    return aligned;
}

static qn_status fail_memory(const qn_device *device, uint64_t bytes, const char *what, cl_int code)
{
    return qn__fail(QN_OUT_OF_DEVICE_MEMORY,
                    "%s: no memory for %s: asked %.1f MB, %.1f MB already in use, the device has "
                    "%.1f MB in all "
                    "and gives at most %.1f MB at once (%s)",
                    device->caps.name, what, (double)bytes / 1e6, (double)device->bytes_now / 1e6,
                    (double)device->caps.global_bytes / 1e6,
                    (double)device->caps.max_alloc_bytes / 1e6, qn__cl_text(code));
}

/* clCreateBuffer promises nothing on several drivers: the first use fails instead, so use it now.
 */
static cl_int create_and_touch(qn_device *device, qn_buffer *buffer)
{
    static const cl_uint zero;
    cl_int code;
    cl_mem_flags flags = CL_MEM_READ_WRITE;
    if (buffer->bytes >= HUGE_PAGE && qn__quirk(&device->caps, QN_QUIRK_HOST_ARENA)) {
        buffer->host = host_pages(buffer->bytes, &buffer->host_bytes);
        if (buffer->host) flags |= CL_MEM_USE_HOST_PTR;
    }
    buffer->memory = clCreateBuffer(device->context, flags, buffer->bytes, buffer->host, &code);
    if (code != CL_SUCCESS) return code;
    code = clEnqueueFillBuffer(device->queue, buffer->memory, &zero, sizeof zero, 0,
                               buffer->bytes / 4 * 4, 0, NULL, NULL);
    return code == CL_SUCCESS ? clFinish(device->queue) : code;
}

qn_status qn__buffer_create(qn_device *device, uint64_t bytes, const char *what, qn_buffer **buffer)
{
    *buffer = NULL;
    if (bytes == 0) bytes = 4;
    if (bytes > UINT64_MAX - 3) return fail_memory(device, bytes, what, CL_INVALID_BUFFER_SIZE);
    bytes = (bytes + 3) / 4 * 4;
    if (bytes > device->caps.max_alloc_bytes || bytes > device->caps.global_bytes ||
        device->bytes_now > device->caps.global_bytes - bytes)
        return fail_memory(device, bytes, what, CL_MEM_OBJECT_ALLOCATION_FAILURE);
    qn_buffer *made = calloc(1, sizeof *made);
    if (!made) return qn__fail(QN_OS_ERROR, "out of memory");
    made->device = device;
    made->bytes = bytes;
    cl_int code = create_and_touch(device, made);
    device->bytes_now += bytes;
    if (code != CL_SUCCESS) {
        qn__buffer_destroy(&made);
        return fail_memory(device, bytes, what, code);
    }
    if (device->bytes_now > device->bytes_peak) device->bytes_peak = device->bytes_now;
    *buffer = made;
    return QN_OK;
}

void qn__buffer_destroy(qn_buffer **buffer)
{
    qn_buffer *b = *buffer;
    if (!b) return;
    if (b->memory) {
        clFinish(b->device->queue);
        clReleaseMemObject(b->memory);
    }
    if (b->host) munmap(b->host, b->host_bytes);
    if (b != b->device->nothing) b->device->bytes_now -= b->bytes;
    free(b);
    *buffer = NULL;
}

uint64_t qn__buffer_bytes(const qn_buffer *buffer)
{
    return buffer->bytes;
}

qn_status qn__buffer_check(const qn_buffer *buffer, uint64_t offset, uint64_t bytes)
{
    if (offset <= buffer->bytes && bytes <= buffer->bytes - offset) return QN_OK;
    return qn__fail(QN_INTERNAL, "range [%llu, +%llu) is outside a buffer of %llu bytes",
                    (unsigned long long)offset, (unsigned long long)bytes,
                    (unsigned long long)buffer->bytes);
}

static qn_status write_range(qn_buffer *buffer, uint64_t offset, const void *from, uint64_t bytes,
                             cl_bool wait)
{
    QN_TRY(qn__buffer_check(buffer, offset, bytes));
    if (bytes == 0) return QN_OK;
    QN_CL(buffer->device, clEnqueueWriteBuffer(buffer->device->queue, buffer->memory, wait, offset,
                                               bytes, from, 0, NULL, NULL));
    return QN_OK;
}

qn_status qn__buffer_write(qn_buffer *buffer, uint64_t offset, const void *from, uint64_t bytes)
{
    return write_range(buffer, offset, from, bytes, CL_TRUE);
}

qn_status qn__buffer_write_later(qn_buffer *buffer, uint64_t offset, const void *from,
                                 uint64_t bytes)
{
    return write_range(buffer, offset, from, bytes, CL_FALSE);
}

qn_status qn__buffer_read(qn_buffer *buffer, uint64_t offset, void *to, uint64_t bytes)
{
    QN_TRY(qn__buffer_check(buffer, offset, bytes));
    if (bytes == 0) return QN_OK;
    QN_CL(buffer->device, clEnqueueReadBuffer(buffer->device->queue, buffer->memory, CL_TRUE,
                                              offset, bytes, to, 0, NULL, NULL));
    return QN_OK;
}

qn_status qn__buffer_fill(qn_buffer *buffer, uint64_t offset, uint64_t bytes, const void *pattern,
                          size_t pattern_bytes)
{
    QN_TRY(qn__buffer_check(buffer, offset, bytes));
    if (bytes == 0) return QN_OK;
    QN_CL(buffer->device, clEnqueueFillBuffer(buffer->device->queue, buffer->memory, pattern,
                                              pattern_bytes, offset, bytes, 0, NULL, NULL));
    return QN_OK;
}

qn_status qn__buffer_copy(qn_buffer *to, uint64_t to_offset, qn_buffer *from, uint64_t from_offset,
                          uint64_t bytes)
{
    QN_TRY(qn__buffer_check(to, to_offset, bytes));
    QN_TRY(qn__buffer_check(from, from_offset, bytes));
    if (bytes == 0) return QN_OK;
    QN_CL(to->device, clEnqueueCopyBuffer(to->device->queue, from->memory, to->memory, from_offset,
                                          to_offset, bytes, 0, NULL, NULL));
    return QN_OK;
}
