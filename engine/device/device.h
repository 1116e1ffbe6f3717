/* An opened device for the layers above: memory, programs, launches. No OpenCL type shows here. */
#ifndef QN_DEVICE_DEVICE_H
#define QN_DEVICE_DEVICE_H

#include "device/caps.h"

#include <quernel/device.h>
#include <stddef.h>

const qn_caps *qn__device_caps(const qn_device *device);

/* ---- memory ---- */

typedef struct qn_buffer qn_buffer;

/* Touched when made, so that "out of memory" comes here: QN_OUT_OF_DEVICE_MEMORY says how much was
 * asked and how much there is. Zero-filled. bytes <= caps->max_alloc_bytes. `what` is for messages.
 */
qn_status qn__buffer_create(qn_device *device, uint64_t bytes, const char *what,
                            qn_buffer **buffer) QN_MUST_USE;
void qn__buffer_destroy(qn_buffer **buffer);
uint64_t qn__buffer_bytes(const qn_buffer *buffer);

/* Blocking copies; ordered after everything enqueued before. */
qn_status qn__buffer_write(qn_buffer *buffer, uint64_t offset, const void *from,
                           uint64_t bytes) QN_MUST_USE;
qn_status qn__buffer_read(qn_buffer *buffer, uint64_t offset, void *to, uint64_t bytes) QN_MUST_USE;
/* Enqueued: `from` must stay as it is until the queue has passed it. */
qn_status qn__buffer_write_later(qn_buffer *buffer, uint64_t offset, const void *from,
                                 uint64_t bytes) QN_MUST_USE;
/* Enqueued: `pattern` of 1, 2, 4, 8 or 16 bytes repeated. */
qn_status qn__buffer_fill(qn_buffer *buffer, uint64_t offset, uint64_t bytes, const void *pattern,
                          size_t pattern_bytes) QN_MUST_USE;
/* Enqueued. */
qn_status qn__buffer_copy(qn_buffer *to, uint64_t to_offset, qn_buffer *from, uint64_t from_offset,
                          uint64_t bytes) QN_MUST_USE;
/* Are these bytes inside of the buffer? */
qn_status qn__buffer_check(const qn_buffer *buffer, uint64_t offset, uint64_t bytes) QN_MUST_USE;
/* A small buffer to stand for absent kernel arguments. */
qn_buffer *qn__device_nothing(qn_device *device);

/* ---- host memory, and transfers beside the kernels ---- */

/* Host memory that moves fast: page-locked where the driver can, else plain. Zero-filled; does not
 * count as device memory. */
typedef struct qn_host qn_host;
qn_status qn__host_create(qn_device *device, uint64_t bytes, qn_host **host) QN_MUST_USE;
void qn__host_destroy(qn_host **host);
void *qn__host_data(const qn_host *host);

/* Transfers are in order among themselves, on a queue of their own, and in no order with launches
 * but what is asked for here. All are enqueued; host memory must stay. Zero-initialise a
 * qn_transfer; it may be used again, and is forgotten in the end. */
typedef struct qn_transfer {
    void *event;
} qn_transfer;
qn_status qn__transfer_in(qn_buffer *buffer, uint64_t offset, const void *from, uint64_t bytes,
                          qn_transfer *transfer) QN_MUST_USE;
qn_status qn__transfer_out(qn_buffer *buffer, uint64_t offset, void *to,
                           uint64_t bytes) QN_MUST_USE;
void qn__transfer_forget(qn_transfer *transfer);
/* Transfers from now on wait for the launches so far; launches for one transfer, or for all so far.
 */
qn_status qn__transfer_after_compute(qn_device *device) QN_MUST_USE;
qn_status qn__compute_after(qn_device *device, const qn_transfer *transfer) QN_MUST_USE;
qn_status qn__compute_after_transfers(qn_device *device) QN_MUST_USE;

/* For another thread than the one that launches, which may only call these: a point in the launches
 * so far, and memory as it is when they are done. Call qn__marks_prepare before the first. */
qn_status qn__marks_prepare(qn_device *device) QN_MUST_USE;
/* Enqueued; sent to the device. */
qn_status qn__mark(qn_device *device, qn_transfer *mark) QN_MUST_USE;
/* Be called, by a thread of the driver, when the mark is reached; be quick. */
qn_status qn__mark_notify(qn_device *device, const qn_transfer *mark, void (*fn)(void *user),
                          void *user) QN_MUST_USE;
/* Waits for the mark. Where memory is unified the buffer's own bytes, until unmapped; launches must
 * not touch them meanwhile, and those that are enqueued after qn__compute_after_transfers see what
 * was written. */
qn_status qn__buffer_map(qn_buffer *buffer, uint64_t offset, uint64_t bytes,
                         const qn_transfer *mark, void **data) QN_MUST_USE;
qn_status qn__buffer_unmap(qn_buffer *buffer, void *data) QN_MUST_USE;
/* The same by copies, for other devices: waits until the bytes are there. */
qn_status qn__buffer_fetch(qn_buffer *buffer, uint64_t offset, void *to, uint64_t bytes,
                           const qn_transfer *mark) QN_MUST_USE;

/* ---- programs ---- */

typedef struct qn_kernel qn_kernel;

/* Kernel `name` of program (`file`, `options`), built or found in a cache; owned by the device. */
qn_status qn__device_kernel(qn_device *device, const char *file, const char *options,
                            const char *name, qn_kernel **kernel) QN_MUST_USE;
/* The source of a kernel file with its includes expanded; the caller frees. */
qn_status qn__kernel_source(const char *file, char **source) QN_MUST_USE;
/* Programs built from source since the device was opened, and found in the cache. */
void qn__device_program_counts(const qn_device *device, int *built, int *cached);

/* ---- launches ---- */

enum { QN_MAX_LAUNCH_DIMS = 3 };

qn_status qn__kernel_arg(qn_kernel *kernel, int index, size_t bytes, const void *value) QN_MUST_USE;
qn_status qn__kernel_arg_buffer(qn_kernel *kernel, int index, const qn_buffer *buffer) QN_MUST_USE;

/* Enqueue groups[i] work-groups of local[i] items. Explicit and constant local sizes only. tag: any
 * number, to find the time again when profiling. */
qn_status qn__device_launch(qn_device *device, qn_kernel *kernel, int dims, const size_t *groups,
                            const size_t *local, int tag) QN_MUST_USE;
/* Send what is enqueued to the device, without waiting. */
qn_status qn__device_flush(qn_device *device) QN_MUST_USE;
/* Wait for everything enqueued. */
qn_status qn__device_finish(qn_device *device) QN_MUST_USE;

/* 10^9 bytes a second of reading memory, now: other users of the machine change it. */
qn_status qn__device_read_rate(qn_device *device, double *gbytes) QN_MUST_USE;

/* ---- timing (devices opened with profile) ---- */

bool qn__device_profiles(const qn_device *device);
/* Calls fn with tag and device seconds of each launch since the last call; waits for the queue. */
qn_status qn__device_times(qn_device *device, void (*fn)(void *user, int tag, double seconds),
                           void *user) QN_MUST_USE;

/* ---- CLBlast ---- */

/* NULL when SGEMM through CLBlast can be used, else why not. */
const char *qn__clblast_refuse(void);
/* C = alpha op(A) op(B) + beta C, row-major, offsets and leading dimensions in elements; no
 * workspace is kept by us. */
typedef struct qn_gemm {
    bool trans_a, trans_b;
    int64_t m, n, k;
    qn_buffer *a, *b, *c;
    uint64_t a_offset, b_offset, c_offset;
    int64_t lda, ldb, ldc;
    float beta;
    qn_buffer *workspace; /* NULL: none */
} qn_gemm;
qn_status qn__clblast_workspace(qn_device *device, const qn_gemm *gemm,
                                uint64_t *bytes) QN_MUST_USE;
qn_status qn__clblast_sgemm(qn_device *device, const qn_gemm *gemm) QN_MUST_USE;

#endif
