/* OpenCL devices: finding, choosing, opening. */
#ifndef QUERNEL_DEVICE_H
#define QUERNEL_DEVICE_H

#include <quernel/status.h>
#include <stdbool.h>
#include <stdint.h>

/* One opened device with its in-order queue and program cache. Used by one thread at a time. */
typedef struct qn_device qn_device;

typedef struct qn_device_options {
    uint32_t size;        /* sizeof(qn_device_options) */
    const char *selector; /* index, part of the name, or cpu/gpu/accelerator; NULL: $QN_DEVICE, else
                             the default */
    bool profile;         /* time every launch (slower) */
    /* Of `local_size` processes of this machine that open a device each, this is `local_rank`: they
     * get different GPUs, in the order of their PCI addresses, or the CPU each, whose memory counts
     * in equal parts. 0: there is one. */
    int local_rank, local_size;
} qn_device_options;

/* options may be NULL. Errors: QN_NO_DEVICE, with a list of what is there and what to install. */
QN_API qn_status qn_device_open(const qn_device_options *options, qn_device **device) QN_MUST_USE;
QN_API void qn_device_close(qn_device **device);

QN_API const char *qn_device_name(const qn_device *device);

/* The capability record of an open device as JSON, measured peaks included (measured now if not
 * cached). Free *json with qn_free. */
QN_API qn_status qn_device_record(qn_device *device, char **json) QN_MUST_USE;

/* {"devices": [records], "default": index or null, "why": text, "advice": [lines]} for this
 * machine. measure: also measure peaks where no cached figure is there. Free *json with qn_free. */
QN_API qn_status qn_devices_json(bool measure, char **json) QN_MUST_USE;

/* Measured now: f32 fma GFLOP/s of a register-only kernel and of the same loop in host C (0 for a
 * device that is not the CPU), GB/s of reading a buffer far larger than the caches, bf16 GFLOP/s of
 * the proven matrix unit and 10^9 int8 operations a second of the proven dot product (0 where there
 * is none). Kept in the cache folder. */
typedef struct qn_peaks {
    double gflops;
    double host_gflops;
    double gbytes_per_s;
    double matrix_gflops;
    double host_matrix_gflops; /* of that instruction in a loop of host C; 0: there is none */
    double int8_gops;
    double host_int8_gops; /* likewise */
} qn_peaks;
QN_API qn_status qn_device_measure(qn_device *device, qn_peaks *peaks) QN_MUST_USE;

/* Device memory now and at its highest, in bytes allocated through this device. */
QN_API void qn_device_memory(const qn_device *device, uint64_t *now, uint64_t *peak);

/* Frees what a quernel function returned to you. */
QN_API void qn_free(void *pointer);

#endif
