/* A second queue that only moves bytes, so that they move while kernels run, and host memory that
 * can be moved fast. */
#include "device/opencl.h"

#include <stdlib.h>
#include <string.h>

/* ---- host memory ---- */

struct qn_host {
    qn_device *device;
    cl_mem memory; /* page-locked by the driver; NULL: plain */
    void *data;
};

qn_status qn__host_create(qn_device *device, uint64_t bytes, qn_host **host)
{
    cl_int code;
    *host = NULL;
    qn_host *made = calloc(1, sizeof *made);
    if (!made) return qn__fail(QN_OS_ERROR, "out of memory");
    made->device = device;
    if (bytes == 0) bytes = 4;
    made->memory = clCreateBuffer(device->context, CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR, bytes,
                                  NULL, &code);
    if (code == CL_SUCCESS)
        made->data = clEnqueueMapBuffer(device->queue, made->memory, CL_TRUE,
                                        CL_MAP_READ | CL_MAP_WRITE, 0, bytes, 0, NULL, NULL, &code);
    if (code != CL_SUCCESS) { /* as much may be had as ordinary memory */
        if (made->memory) clReleaseMemObject(made->memory);
        made->memory = NULL;
        made->data = malloc(bytes);
    }
    if (!made->data) {
        free(made);
        return qn__fail(QN_OS_ERROR, "no host memory: %.1f MB were asked", (double)bytes / 1e6);
    }
    memset(made->data, 0, bytes);
    *host = made;
    return QN_OK;
}

void qn__host_destroy(qn_host **host)
{
    qn_host *h = *host;
    if (!h) return;
    (void)!qn__device_finish(h->device);
    if (h->memory) {
        clEnqueueUnmapMemObject(h->device->queue, h->memory, h->data, 0, NULL, NULL);
        clFinish(h->device->queue);
        clReleaseMemObject(h->memory);
    } else {
        free(h->data);
    }
    free(h);
    *host = NULL;
}

void *qn__host_data(const qn_host *host)
{
    return host->data;
}

/* ---- transfers ---- */

qn_status qn__queue_create(qn_device *device, bool profile, cl_command_queue *queue)
{
    cl_int code;
    cl_command_queue_properties properties = profile ? CL_QUEUE_PROFILING_ENABLE : 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored                                                                     \
    "-Wdeprecated-declarations" /* the only call OpenCL 1.2 devices have */
    *queue = clCreateCommandQueue(device->context, device->id, properties, &code);
#pragma GCC diagnostic pop
    return code == CL_SUCCESS ? QN_OK
                              : qn__cl_fail(code, "clCreateCommandQueue", device->caps.name);
}

static qn_status open_queue(qn_device *device)
{
    return device->transfers ? QN_OK : qn__queue_create(device, false, &device->transfers);
}

/* What `later` gets from now on waits for all that `first` has. */
static qn_status order(qn_device *device, cl_command_queue first, cl_command_queue later)
{
    cl_event event;
    QN_CL(device, clEnqueueMarkerWithWaitList(first, 0, NULL, &event));
    cl_int code = clFlush(first);
    if (code == CL_SUCCESS) code = clEnqueueBarrierWithWaitList(later, 1, &event, NULL);
    clReleaseEvent(event);
    QN_CL(device, code);
    return QN_OK;
}

qn_status qn__transfer_after_compute(qn_device *device)
{
    QN_TRY(open_queue(device));
    return order(device, device->queue, device->transfers);
}

qn_status qn__compute_after_transfers(qn_device *device)
{
    return device->transfers ? order(device, device->transfers, device->queue) : QN_OK;
}

static void forget(qn_transfer *transfer)
{
    if (transfer->event) clReleaseEvent(transfer->event);
    transfer->event = NULL;
}

qn_status qn__transfer_in(qn_buffer *buffer, uint64_t offset, const void *from, uint64_t bytes,
                          qn_transfer *transfer)
{
    qn_device *device = buffer->device;
    cl_event event = NULL;
    QN_TRY(open_queue(device));
    QN_TRY(qn__buffer_check(buffer, offset, bytes));
    forget(transfer);
    if (bytes == 0) return QN_OK;
    QN_CL(device, clEnqueueWriteBuffer(device->transfers, buffer->memory, CL_FALSE, offset, bytes,
                                       from, 0, NULL, &event));
    transfer->event = event;
    QN_CL(device, clFlush(device->transfers));
    return QN_OK;
}

qn_status qn__transfer_out(qn_buffer *buffer, uint64_t offset, void *to, uint64_t bytes)
{
    qn_device *device = buffer->device;
    QN_TRY(open_queue(device));
    QN_TRY(qn__buffer_check(buffer, offset, bytes));
    if (bytes == 0) return QN_OK;
    QN_CL(device, clEnqueueReadBuffer(device->transfers, buffer->memory, CL_FALSE, offset, bytes,
                                      to, 0, NULL, NULL));
    QN_CL(device, clFlush(device->transfers));
    return QN_OK;
}

qn_status qn__compute_after(qn_device *device, const qn_transfer *transfer)
{
    cl_event event = transfer->event;
    if (!event) return QN_OK;
    QN_CL(device, clEnqueueBarrierWithWaitList(device->queue, 1, &event, NULL));
    return QN_OK;
}

void qn__transfer_forget(qn_transfer *transfer)
{
    forget(transfer);
}

/* ---- beside the launches ---- */

qn_status qn__marks_prepare(qn_device *device)
{
    return open_queue(device);
}

qn_status qn__mark(qn_device *device, qn_transfer *mark)
{
    cl_event event;
    forget(mark);
    QN_CL(device, clEnqueueMarkerWithWaitList(device->queue, 0, NULL, &event));
    mark->event = event;
    QN_CL(device, clFlush(device->queue));
    return QN_OK;
}

typedef struct note {
    void (*fn)(void *user);
    void *user;
} note;

static void CL_CALLBACK reached(cl_event event, cl_int status, void *user)
{
    note n = *(note *)user;
    (void)event, (void)status;
    free(user);
    n.fn(n.user);
}

qn_status qn__mark_notify(qn_device *device, const qn_transfer *mark, void (*fn)(void *user),
                          void *user)
{
    note *n = malloc(sizeof *n);
    if (!n) return qn__fail(QN_OS_ERROR, "out of memory");
    *n = (note){fn, user};
    QN_CL(device, clSetEventCallback(mark->event, CL_COMPLETE, reached, n));
    return QN_OK;
}

qn_status qn__buffer_map(qn_buffer *buffer, uint64_t offset, uint64_t bytes,
                         const qn_transfer *mark, void **data)
{
    qn_device *device = buffer->device;
    cl_event event = mark->event;
    cl_int code;
    QN_TRY(qn__buffer_check(buffer, offset, bytes));
    *data =
        clEnqueueMapBuffer(device->transfers, buffer->memory, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE,
                           offset, bytes, event ? 1 : 0, event ? &event : NULL, NULL, &code);
    QN_CL(device, code);
    return QN_OK;
}

qn_status qn__buffer_unmap(qn_buffer *buffer, void *data)
{
    qn_device *device = buffer->device;
    QN_CL(device, clEnqueueUnmapMemObject(device->transfers, buffer->memory, data, 0, NULL, NULL));
    QN_CL(device, clFlush(device->transfers));
    return QN_OK;
}

qn_status qn__buffer_fetch(qn_buffer *buffer, uint64_t offset, void *to, uint64_t bytes,
                           const qn_transfer *mark)
{
    qn_device *device = buffer->device;
    cl_event event = mark->event;
    QN_TRY(qn__buffer_check(buffer, offset, bytes));
    if (bytes == 0) return QN_OK;
    QN_CL(device, clEnqueueReadBuffer(device->transfers, buffer->memory, CL_TRUE, offset, bytes, to,
                                      event ? 1 : 0, event ? &event : NULL, NULL));
    return QN_OK;
}
