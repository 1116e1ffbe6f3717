/* Finding devices on every platform, describing them, and choosing one. */
#include "device/opencl.h"

#include <ctype.h>
#include <glob.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#ifndef CL_PLATFORM_NOT_FOUND_KHR
#define CL_PLATFORM_NOT_FOUND_KHR -1001
#endif

static const struct {
    qn_quirk_id quirk;
    const char *platform, *device;
} quirk_rows[] = {
#define QN_QUIRK_MATCH(quirk, platform, device, why, retest) {QN_QUIRK_##quirk, platform, device},
#include "device/quirks.def"
#undef QN_QUIRK_MATCH
};

static void device_text(cl_device_id id, cl_device_info what, char *text, size_t bytes)
{
    size_t got = 0;
    char long_text[8192] = "";
    if (clGetDeviceInfo(id, what, sizeof long_text, long_text, &got) != CL_SUCCESS)
        long_text[0] = 0;
    snprintf(text, bytes, "%.*s", (int)bytes - 1, long_text);
}

static uint64_t device_u64(cl_device_id id, cl_device_info what)
{
    cl_ulong value = 0;
    clGetDeviceInfo(id, what, sizeof value, &value, NULL);
    return value;
}

static uint32_t device_u32(cl_device_id id, cl_device_info what)
{
    cl_uint value = 0;
    clGetDeviceInfo(id, what, sizeof value, &value, NULL);
    return value;
}

static void describe(qn_found *found)
{
    cl_device_id id = found->id;
    qn_caps *caps = &found->caps;
    char extensions[8192];
    device_text(id, CL_DEVICE_NAME, caps->name, sizeof caps->name);
    device_text(id, CL_DEVICE_VENDOR, caps->vendor, sizeof caps->vendor);
    device_text(id, CL_DRIVER_VERSION, caps->driver, sizeof caps->driver);
    device_text(id, CL_DEVICE_VERSION, caps->version, sizeof caps->version);
    device_text(id, CL_DEVICE_OPENCL_C_VERSION, caps->c_version, sizeof caps->c_version);
    device_text(id, CL_DEVICE_EXTENSIONS, extensions, sizeof extensions);
    clGetPlatformInfo(found->platform, CL_PLATFORM_NAME, sizeof caps->platform, caps->platform,
                      NULL);
    clGetPlatformInfo(found->platform, CL_PLATFORM_VERSION, sizeof caps->platform_version,
                      caps->platform_version, NULL);
    uint64_t type = device_u64(id, CL_DEVICE_TYPE);
    caps->type = type & CL_DEVICE_TYPE_GPU           ? QN_GPU
                 : type & CL_DEVICE_TYPE_ACCELERATOR ? QN_ACCELERATOR
                                                     : QN_CPU;
    caps->compute_units = (int)device_u32(id, CL_DEVICE_MAX_COMPUTE_UNITS);
    if (caps->compute_units < 1) caps->compute_units = 1;
    caps->clock_mhz = (int)device_u32(id, CL_DEVICE_MAX_CLOCK_FREQUENCY);
    caps->global_bytes = device_u64(id, CL_DEVICE_GLOBAL_MEM_SIZE);
    caps->max_alloc_bytes = device_u64(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    caps->local_bytes = device_u64(id, CL_DEVICE_LOCAL_MEM_SIZE);
    caps->local_is_dedicated = device_u32(id, CL_DEVICE_LOCAL_MEM_TYPE) == CL_LOCAL;
    size_t group = 0;
    clGetDeviceInfo(id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof group, &group, NULL);
    caps->max_group = group;
    caps->base_align_bytes = device_u32(id, CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8;
    caps->fma = (device_u64(id, CL_DEVICE_SINGLE_FP_CONFIG) & CL_FP_FMA) != 0;
    caps->fp16 = strstr(extensions, "cl_khr_fp16") != NULL;
    caps->fp64 = strstr(extensions, "cl_khr_fp64") != NULL;
    caps->unified_memory = device_u32(id, CL_DEVICE_HOST_UNIFIED_MEMORY) != 0;
    for (size_t i = 0; i < sizeof quirk_rows / sizeof quirk_rows[0]; i++)
        if (strstr(caps->platform, quirk_rows[i].platform) &&
            strstr(caps->name, quirk_rows[i].device))
            caps->quirks |= 1u << quirk_rows[i].quirk;
    caps->software_rasteriser = qn__quirk(caps, QN_QUIRK_RASTERISER);
    found->pci = qn__pci_address(id);
}

static qn_status add_platform(cl_platform_id platform, qn_found **found, int *count)
{
    cl_uint devices = 0;
    cl_device_id ids[64];
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 64, ids, &devices) != CL_SUCCESS) return QN_OK;
    if (devices > 64) devices = 64;
    qn_found *more = realloc(*found, ((size_t)*count + devices + 1) * sizeof **found);
    if (!more) return qn__fail(QN_OS_ERROR, "out of memory");
    *found = more;
    for (cl_uint i = 0; i < devices; i++) {
        qn_found *row = &more[(*count)++];
        *row = (qn_found){.platform = platform, .id = ids[i]};
        describe(row);
    }
    return QN_OK;
}

/* PoCL's threads may otherwise wake on one core and stay there for a whole launch: half the speed.
 * Pinned when this process has the machine to itself; ranks on one machine would all pin to its
 * first cores. POCL_AFFINITY=0 in the environment keeps them free. Where it has only some of the
 * cores (as a rank, see cluster/cores.h), PoCL is told how many: it starts a thread for each core
 * that the machine has. */
static void pin_pocl_threads(void)
{
    static const char *const launchers[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"};
    cpu_set_t mine;
    char count[16];
    if (sched_getaffinity(0, sizeof mine, &mine) != 0) return;
    if (CPU_COUNT(&mine) < sysconf(_SC_NPROCESSORS_ONLN)) {
        snprintf(count, sizeof count, "%d", CPU_COUNT(&mine));
        setenv("POCL_MAX_PTHREAD_COUNT", count, 0);
    }
    for (size_t i = 0; i < sizeof launchers / sizeof launchers[0]; i++)
        if (getenv(launchers[i])) return;
    if (CPU_COUNT(&mine) == sysconf(_SC_NPROCESSORS_ONLN)) setenv("POCL_AFFINITY", "1", 0);
}

qn_status qn__discover(qn_found **found, int *count)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, pin_pocl_threads);
    (void)qn__amx_permitted(QN_AMX_BF16); /* before a device has threads */
    cl_platform_id platforms[64];
    cl_uint platform_count = 0;
    *found = NULL;
    *count = 0;
    cl_int code = clGetPlatformIDs(64, platforms, &platform_count);
    if (code == CL_PLATFORM_NOT_FOUND_KHR) return QN_OK;
    if (code != CL_SUCCESS)
        return qn__fail(QN_NO_DEVICE, "clGetPlatformIDs failed: %s", qn__cl_text(code));
    if (platform_count > 64) platform_count = 64;
    for (cl_uint i = 0; i < platform_count; i++) {
        qn_status status = add_platform(platforms[i], found, count);
        if (status != QN_OK) {
            free(*found);
            *found = NULL;
            return status;
        }
    }
    return QN_OK;
}

/* What a person can do when a device they own is not listed. */
void qn__advice(json_t *lines, int found_count)
{
    const char *folder = getenv("OCL_ICD_VENDORS");
    char pattern[4096];
    glob_t icds = {0}, nodes = {0};
    snprintf(pattern, sizeof pattern, "%s/*.icd",
             folder && *folder ? folder : "/etc/OpenCL/vendors");
    glob(pattern, 0, NULL, &icds);
    if (found_count == 0 && icds.gl_pathc == 0)
        json_array_append_new(lines,
                              json_sprintf("no OpenCL driver is registered (%s matches nothing): "
                                           "for this CPU, `apt install pocl-opencl-icd`",
                                           pattern));
    else if (found_count == 0)
        json_array_append_new(
            lines, json_sprintf(
                       "%zu driver file(s) match %s, yet none shows a device: see docs/drivers.md",
                       icds.gl_pathc, pattern));
    globfree(&icds);
    glob("/dev/dri/renderD*", 0, NULL, &nodes);
    for (size_t i = 0; i < nodes.gl_pathc; i++)
        if (access(nodes.gl_pathv[i], R_OK | W_OK) != 0)
            json_array_append_new(
                lines,
                json_sprintf(
                    "you may not open %s: `sudo usermod -aG render,video $USER`, then log in again",
                    nodes.gl_pathv[i]));
    bool gpu_node = nodes.gl_pathc > 0;
    globfree(&nodes);
    if (gpu_node || access("/dev/nvidiactl", F_OK) == 0 || access("/dev/kfd", F_OK) == 0)
        json_array_append_new(
            lines,
            json_string(
                "a GPU is here; drivers: Intel `intel-opencl-icd`, NVIDIA `nvidia-opencl-icd`, AMD "
                "`rocm-opencl-icd` or `mesa-opencl-icd` (rusticl), see docs/drivers.md"));
    else if (found_count == 0)
        json_array_append_new(
            lines, json_string("no GPU device file is there (/dev/dri, /dev/nvidiactl)"));
}

static qn_status fail_listing(const qn_found *found, int count, const char *problem)
{
    char list[1200] = "";
    size_t used = 0;
    for (int i = 0; i < count && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%d: %s (%s)", i ? "; " : "", i,
                                 found[i].caps.name, qn__device_type_name(found[i].caps.type));
    if (count > 0)
        return qn__fail(QN_NO_DEVICE, "%s. Devices here: %s. `quernel devices` shows more", problem,
                        list);
    json_t *lines = json_array();
    qn__advice(lines, count);
    const char *first = json_string_value(json_array_get(lines, 0));
    qn_status status = qn__fail(QN_NO_DEVICE, "%s: no OpenCL device at all; %s", problem,
                                first ? first : "see docs/drivers.md");
    json_decref(lines);
    return status;
}

static int rank_of(const qn_caps *caps)
{
    if (caps->software_rasteriser) return -1;
    return caps->type == QN_GPU ? 2 : caps->type == QN_ACCELERATOR ? 1 : 0;
}

bool qn__device_matches(const qn_found *found, int index, const char *selector)
{
    char *end;
    long number = strtol(selector, &end, 10);
    if (*end == 0 && end != selector) return number == index;
    if (strcasecmp(selector, qn__device_type_name(found->caps.type)) == 0)
        return !found->caps.software_rasteriser;
    return strcasestr(found->caps.name, selector) || strcasestr(found->caps.platform, selector);
}

qn_status qn__select(const qn_found *found, int count, const char *selector, int *index, char *why,
                     size_t why_bytes)
{
    int best = -1;
    if (!selector || !*selector) selector = getenv("QN_DEVICE");
    bool chosen = selector && *selector;
    for (int i = 0; i < count; i++) {
        if (chosen && !qn__device_matches(&found[i], i, selector)) continue;
        if (!chosen && rank_of(&found[i].caps) < 0) continue;
        if (best < 0 || (rank_of(&found[i].caps) > rank_of(&found[best].caps) &&
                         !(chosen && isdigit((unsigned char)*selector))))
            best = i;
    }
    if (best < 0) {
        char problem[256];
        if (chosen) snprintf(problem, sizeof problem, "no device matches \"%s\"", selector);
        else snprintf(problem, sizeof problem, "no usable device");
        return fail_listing(found, count, problem);
    }
    *index = best;
    if (chosen) snprintf(why, why_bytes, "selected by \"%s\"", selector);
    else
        snprintf(why, why_bytes, "the first %s; software rasterisers are never the default",
                 qn__device_type_name(found[best].caps.type));
    return QN_OK;
}
