/* Which device each of several processes on one machine gets. */
#include "device/opencl.h"

#include <stdlib.h>

/* ---- PCI addresses: cl_khr_pci_bus_info, or as AMD and NVIDIA said it before ---- */

enum {
    PCI_BUS_INFO_KHR = 0x410F,
    TOPOLOGY_AMD = 0x4037,
    PCI_BUS_ID_NV = 0x4008,
    PCI_SLOT_ID_NV = 0x4009,
    PCI_DOMAIN_ID_NV = 0x400A
};

static uint64_t address(uint64_t domain, uint64_t bus, uint64_t device, uint64_t function)
{
    return domain << 32 | bus << 16 | device << 8 | function;
}

uint64_t qn__pci_address(cl_device_id id)
{
    cl_uint khr[4], domain = 0, bus, slot = 0;
    unsigned char amd[24]; /* cl_uint type, 17 unused bytes, bus, device, function */
    size_t got;
    if (clGetDeviceInfo(id, PCI_BUS_INFO_KHR, sizeof khr, khr, &got) == CL_SUCCESS &&
        got == sizeof khr)
        return address(khr[0], khr[1], khr[2], khr[3]);
    if (clGetDeviceInfo(id, TOPOLOGY_AMD, sizeof amd, amd, &got) == CL_SUCCESS && got == sizeof amd)
        return address(0, amd[21], amd[22], amd[23]);
    if (clGetDeviceInfo(id, PCI_BUS_ID_NV, sizeof bus, &bus, NULL) != CL_SUCCESS) return UINT64_MAX;
    clGetDeviceInfo(id, PCI_SLOT_ID_NV, sizeof slot, &slot, NULL);
    clGetDeviceInfo(id, PCI_DOMAIN_ID_NV, sizeof domain, &domain, NULL);
    return address(domain, bus, slot >> 3, slot & 7);
}

/* ---- sharing ---- */

static bool before(const qn_found *found, int a, int b)
{
    return found[a].pci != found[b].pci ? found[a].pci < found[b].pci : a < b;
}

/* Devices like `like` that the selector names, by address; returns how many. */
static int alike(const qn_found *found, int count, const char *selector, int like, int *list)
{
    int n = 0;
    for (int i = 0; i < count; i++) {
        bool named = !selector || !*selector || qn__device_matches(&found[i], i, selector);
        if (!named || found[i].caps.type != found[like].caps.type ||
            found[i].caps.software_rasteriser != found[like].caps.software_rasteriser)
            continue;
        bool again = false; /* one device may be there by two drivers */
        for (int k = 0; k < n; k++)
            again |= found[i].pci != UINT64_MAX && found[i].pci == found[list[k]].pci;
        if (again) continue;
        int at = n++;
        for (; at > 0 && before(found, i, list[at - 1]); at--) list[at] = list[at - 1];
        list[at] = i;
    }
    return n;
}

qn_status qn__share_devices(qn_found *found, int count, const qn_device_options *options,
                            int *index)
{
    const char *selector = options->selector;
    int rank = options->local_rank, size = options->local_size;
    QN_CHECK(rank >= 0 && rank < size, "local rank %d of %d", rank, size);
    if (!selector || !*selector) selector = getenv("QN_DEVICE");
    if (found[*index].caps.type == QN_CPU) {
        found[*index].caps.global_bytes /= (uint64_t)size;
        if (found[*index].caps.max_alloc_bytes > found[*index].caps.global_bytes)
            found[*index].caps.max_alloc_bytes = found[*index].caps.global_bytes;
        return QN_OK;
    }
    int *list = calloc((size_t)count, sizeof *list);
    if (!list) return qn__fail(QN_OS_ERROR, "out of memory");
    int n = alike(found, count, selector, *index, list);
    if (rank < n) *index = list[rank];
    free(list);
    if (size <= n) return QN_OK;
    return qn__fail(QN_NO_DEVICE,
                    "%d ranks on this machine, and %d device%s like %s: start at most %d rank%s "
                    "here (mpirun --map-by ppr:%d:node), or choose the CPU by --device cpu",
                    size, n, n == 1 ? "" : "s", found[*index].caps.name, n, n == 1 ? "" : "s", n);
}
