/* Private to engine/device: the objects behind device.h, and foreign errors made ours. */
#ifndef QN_DEVICE_OPENCL_H
#define QN_DEVICE_OPENCL_H

#include "base/check.h"
#include "device/device.h"

#include <CL/cl.h>

struct qn_buffer {
    qn_device *device;
    cl_mem memory;
    uint64_t bytes;
    void *host; /* our own pages under the buffer, or NULL */
    uint64_t host_bytes;
};

struct qn_kernel {
    cl_kernel kernel;
    char name[96]; /* "file:kernel", for messages */
    char kernel_name[48];
    struct qn_kernel *next; /* of the same program */
};

typedef struct qn_program {
    cl_program program;
    char *key; /* "file options" */
    uint64_t key_hash;
    qn_kernel *kernels;
} qn_program;

typedef struct qn_timed_launch {
    cl_event event;
    int tag;
} qn_timed_launch;

struct qn_device {
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
    cl_command_queue transfers; /* made when first used */
    qn_caps caps;
    qn_program *programs;
    int program_count, program_capacity;
    int built, cached;
    qn_buffer *nothing;
    bool profile;
    qn_timed_launch *launches;
    int launch_count, launch_capacity;
    uint64_t bytes_now, bytes_peak;
    qn_tuning *tuning; /* NULL: not asked for yet */
};

/* In order. */
qn_status qn__queue_create(qn_device *device, bool profile, cl_command_queue *queue) QN_MUST_USE;

/* "CL_INVALID_KERNEL_ARGS (-52)" */
const char *qn__cl_text(cl_int code);
/* The status and message for a failed call. */
qn_status qn__cl_fail(cl_int code, const char *call, const char *device_name);

#define QN_CL(device, call)                                                                        \
    do {                                                                                           \
        cl_int qn__code = (call);                                                                  \
        if (qn__code != CL_SUCCESS) return qn__cl_fail(qn__code, #call, (device)->caps.name);      \
    } while (0)

/* Every device of every platform, in platform order, without a device open. The caller frees. */
typedef struct qn_found {
    cl_platform_id platform;
    cl_device_id id;
    qn_caps caps; /* without probes and peaks */
    uint64_t pci; /* domain, bus, device, function; UINT64_MAX: not known */
} qn_found;
uint64_t qn__pci_address(cl_device_id id);
bool qn__device_matches(const qn_found *found, int index, const char *selector);
qn_status qn__discover(qn_found **found, int *count) QN_MUST_USE;
/* Index in found, and why; QN_NO_DEVICE with advice. */
qn_status qn__select(const qn_found *found, int count, const char *selector, int *index, char *why,
                     size_t why_bytes) QN_MUST_USE;

/* The device of one of several processes on this machine: *index is the one that they would all
 * choose. QN_NO_DEVICE: there are fewer of its kind than processes. */
qn_status qn__share_devices(qn_found *found, int count, const qn_device_options *options,
                            int *index) QN_MUST_USE;

/* Open a found device; probes are not run. */
qn_status qn__device_open_found(const qn_found *found, bool profile,
                                qn_device **device) QN_MUST_USE;

/* Fill caps->probe from the cache, or by helper processes. index: position in the discovery order.
 */
qn_status qn__probe_all(qn_caps *caps, int index) QN_MUST_USE;
/* In the helper: run one probe on an open device. */
bool qn__probe_find(const char *name, qn_probe_id *probe);
qn_verdict qn__probe_run(qn_device *device, qn_probe_id probe);

/* Peaks from the cache; false when not there. */
bool qn__peaks_cached(qn_caps *caps);

/* Lines of advice for this machine when devices are missing. Appends to a JSON array. */
void qn__advice(json_t *lines, int found_count);

void qn__programs_free(qn_device *device);
/* `seed` and the text of every kernel source. */
uint64_t qn__kernel_sources_key(uint64_t seed);
/* Whether AMX multiplies tiles of this type here; the first call asks the system for permission,
 * which holds for threads that start afterwards. */
typedef enum qn_amx_type { QN_AMX_BF16, QN_AMX_INT8 } qn_amx_type;
bool qn__amx_permitted(qn_amx_type type);

#endif
