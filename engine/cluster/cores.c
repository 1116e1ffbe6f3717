#include "cluster/cores.h"

#include <stdio.h>
#include <stdlib.h>

void qn__cores_release(void)
{
    cpu_set_t all;
    if (!getenv("OMPI_MCA_orte_bound_at_launch") || getenv("OMPI_MCA_hwloc_base_binding_policy"))
        return;
    CPU_ZERO(&all);
    for (int i = 0; i < CPU_SETSIZE; i++) CPU_SET(i, &all);
    (void)!sched_setaffinity(0, sizeof all, &all); /* the system leaves out what is not ours */
}

typedef struct core {
    int package, number, cpu; /* hardware threads of one core have the same number */
} core;

static int topology(int cpu, const char *what)
{
    char path[96];
    int value = 0;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/%s", cpu, what);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    if (fscanf(file, "%d", &value) != 1) value = 0;
    fclose(file);
    return value;
}

static int by_place(const void *a, const void *b)
{
    const core *x = a, *y = b;
    if (x->package != y->package) return x->package < y->package ? -1 : 1;
    if (x->number != y->number) return x->number < y->number ? -1 : 1;
    return x->cpu - y->cpu;
}

cpu_set_t qn__cores_share(const cpu_set_t *masks, int count, int rank, bool *twice)
{
    core cores[CPU_SETSIZE];
    cpu_set_t all = masks[0], both, mine;
    bool apart = true;
    int n = 0;
    *twice = false;
    for (int i = 1; i < count; i++) {
        CPU_AND(&both, &all, &masks[i]);
        apart = apart && CPU_COUNT(&both) == 0;
        CPU_OR(&all, &all, &masks[i]);
    }
    if (apart) return masks[rank];
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all))
            cores[n++] =
                (core){topology(cpu, "physical_package_id"), topology(cpu, "core_id"), cpu};
    qsort(cores, (size_t)n, sizeof *cores, by_place);
    *twice = n < count;
    int from = *twice ? rank % n : n * rank / count;
    int to = *twice ? from + 1 : n * (rank + 1) / count;
    CPU_ZERO(&mine);
    for (int i = from; i < to; i++) CPU_SET(cores[i].cpu, &mine);
    return mine;
}
