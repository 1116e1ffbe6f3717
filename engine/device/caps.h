/* The capability record: everything a choice may depend on. Written by `quernel devices --json`,
 * read by plans for devices that are not there. */
#ifndef QN_DEVICE_CAPS_H
#define QN_DEVICE_CAPS_H

#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum qn_device_type { QN_CPU, QN_GPU, QN_ACCELERATOR } qn_device_type;

/* unknown: not tried yet; such a family is not used. */
typedef enum qn_verdict { QN_UNKNOWN, QN_PROVEN, QN_REFUTED } qn_verdict;

typedef enum qn_probe_id {
#define QN_PROBE(name, NAME, what) QN_PROBE_##NAME,
#include "device/probes.def"
#undef QN_PROBE
    QN_PROBE_COUNT
} qn_probe_id;

typedef enum qn_quirk_id {
#define QN_QUIRK(name, NAME, what) QN_QUIRK_##NAME,
#include "device/quirk_list.def"
#undef QN_QUIRK
    QN_QUIRK_COUNT
} qn_quirk_id;

/* What was timed on a device (device/tuning.h). */
typedef struct qn_tuning qn_tuning;

typedef struct qn_caps {
    char name[128];
    char vendor[128];
    char driver[128];
    char version[128];
    char c_version[128];
    char platform[128];
    char platform_version[256];
    qn_device_type type;
    bool software_rasteriser;
    int compute_units;
    int clock_mhz;
    uint64_t global_bytes;
    uint64_t max_alloc_bytes;
    uint64_t local_bytes;
    bool local_is_dedicated;
    uint64_t max_group;
    uint64_t base_align_bytes;
    bool fma;
    bool fp16;
    bool fp64;
    bool unified_memory;
    uint32_t quirks; /* bit qn_quirk_id */
    qn_verdict probe[QN_PROBE_COUNT];
    double peak_gflops;        /* 0: not measured */
    double peak_gbytes;        /* GB/s; 0: not measured */
    double peak_matrix_gflops; /* bf16 on the proven matrix unit; 0: none, or not measured */
    double peak_int8_gops;     /* int8 dot products on the proven unit; 0 likewise */
    const qn_tuning *tuning;   /* entries that came with a record from elsewhere; borrowed; NULL */
} qn_caps;

static inline bool qn__proven(const qn_caps *caps, qn_probe_id probe)
{
    return caps->probe[probe] == QN_PROVEN;
}

static inline bool qn__quirk(const qn_caps *caps, qn_quirk_id quirk)
{
    return (caps->quirks >> quirk & 1u) != 0;
}

/* New reference; NULL when out of memory. */
json_t *qn__caps_to_json(const qn_caps *caps);
/* `origin` names the file in messages. Unknown keys are ignored, impossible values refused. */
qn_status qn__caps_from_json(const json_t *record, const char *origin, qn_caps *caps) QN_MUST_USE;

/* Names this device, driver and library version: the key of caches. */
uint64_t qn__caps_key(const qn_caps *caps);

const char *qn__device_type_name(qn_device_type type);

#endif
