/* The whole of quernel-probe: `quernel-probe INDEX NAME` prints "proven" or "refuted". */
#include "device/opencl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

QN_API int qn_probe_main(int argc, char **argv);

static int run(const qn_found *found, const char *name)
{
    qn_device *device;
    qn_probe_id probe;
    if (!qn__probe_find(name, &probe)) return 64;
    if (qn__device_open_found(found, false, &device) != QN_OK) return 69;
    const char *word = qn__probe_run(device, probe) == QN_PROVEN ? "proven\n" : "refuted\n";
    bool said = write(STDOUT_FILENO, word, strlen(word)) > 0;
    qn_device_close(&device);
    return said ? 0 : 71;
}

int qn_probe_main(int argc, char **argv)
{
    qn_found *found;
    int count;
    if (argc != 3 || qn__discover(&found, &count) != QN_OK) return 64;
    int index = atoi(argv[1]);
    int code = index >= 0 && index < count ? run(&found[index], argv[2]) : 69;
    free(found);
    return code;
}
