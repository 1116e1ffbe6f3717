/* Arguments, launches, waiting and timing. */
#include "device/opencl.h"

#include <stdlib.h>

static qn_status arg_failed(const qn_kernel *kernel, int index, cl_int code)
{
    return qn__fail(QN_INTERNAL, "%s: argument %d: %s", kernel->name, index, qn__cl_text(code));
}

qn_status qn__kernel_arg(qn_kernel *kernel, int index, size_t bytes, const void *value)
{
    cl_int code = clSetKernelArg(kernel->kernel, (cl_uint)index, bytes, value);
    return code == CL_SUCCESS ? QN_OK : arg_failed(kernel, index, code);
}

qn_status qn__kernel_arg_buffer(qn_kernel *kernel, int index, const qn_buffer *buffer)
{
    return qn__kernel_arg(kernel, index, sizeof buffer->memory, &buffer->memory);
}

static qn_status remember(qn_device *device, cl_event event, int tag)
{
    if (device->launch_count == device->launch_capacity) {
        int capacity = device->launch_capacity ? device->launch_capacity * 2 : 1024;
        qn_timed_launch *more = realloc(device->launches, (size_t)capacity * sizeof *more);
        if (!more) {
            clReleaseEvent(event);
            return qn__fail(QN_OS_ERROR, "out of memory");
        }
        device->launches = more;
        device->launch_capacity = capacity;
    }
    device->launches[device->launch_count++] = (qn_timed_launch){event, tag};
    return QN_OK;
}

qn_status qn__device_launch(qn_device *device, qn_kernel *kernel, int dims, const size_t *groups,
                            const size_t *local, int tag)
{
    size_t global[QN_MAX_LAUNCH_DIMS];
    cl_event event = NULL;
    for (int i = 0; i < dims; i++) {
        if (groups[i] == 0) return QN_OK; /* nothing to do */
        global[i] = groups[i] * local[i];
    }
    cl_int code = clEnqueueNDRangeKernel(device->queue, kernel->kernel, (cl_uint)dims, NULL, global,
                                         local, 0, NULL, device->profile ? &event : NULL);
    if (code != CL_SUCCESS)
        return qn__wrap(qn__cl_fail(code, "clEnqueueNDRangeKernel", device->caps.name),
                        "%s: ", kernel->name);
    return device->profile ? remember(device, event, tag) : QN_OK;
}

qn_status qn__device_flush(qn_device *device)
{
    QN_CL(device, clFlush(device->queue));
    return QN_OK;
}

qn_status qn__device_finish(qn_device *device)
{
    if (device->transfers) QN_CL(device, clFlush(device->transfers));
    QN_CL(device, clFinish(device->queue));
    if (device->transfers) QN_CL(device, clFinish(device->transfers));
    return QN_OK;
}

bool qn__device_profiles(const qn_device *device)
{
    return device->profile;
}

qn_status qn__device_times(qn_device *device, void (*fn)(void *user, int tag, double seconds),
                           void *user)
{
    QN_TRY(qn__device_finish(device));
    for (int i = 0; i < device->launch_count; i++) {
        cl_ulong start = 0, end = 0;
        cl_event event = device->launches[i].event;
        clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL);
        clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
        clReleaseEvent(event);
        if (fn) fn(user, device->launches[i].tag, end > start ? (double)(end - start) * 1e-9 : 0.0);
    }
    device->launch_count = 0;
    return QN_OK;
}
