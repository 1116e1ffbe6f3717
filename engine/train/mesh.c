#include "train/mesh.h"

#include "base/check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static qn_status read_axis(const char *text, const char **at, qn_mesh *mesh)
{
    static const char *const names[] = {"dp=", "tp=", "pp="};
    int *const axes[] = {&mesh->dp, &mesh->tp, &mesh->pp};
    for (int i = 0; i < 3; i++) {
        if (strncmp(*at, names[i], 3) != 0) continue;
        char *end;
        long value = strtol(*at + 3, &end, 10);
        if (end == *at + 3 || value < 1 || value > 1 << 20 || (*end && *end != ',')) break;
        *axes[i] = (int)value;
        *at = end;
        return QN_OK;
    }
    return qn__fail(QN_BAD_ARGUMENT,
                    "mesh: \"%s\" is not auto or axes with sizes, as dp=4 or dp=2,tp=2,pp=1", text);
}

qn_status qn__mesh_parse(const char *text, int ranks, qn_mesh *mesh)
{
    *mesh = (qn_mesh){1, 1, 1};
    if (strcmp(text, "auto") == 0) {
        if (ranks > 0) mesh->dp = ranks;
        return QN_OK;
    }
    for (const char *at = text;; at++) {
        QN_TRY(read_axis(text, &at, mesh));
        if (!*at) break;
    }
    if (mesh->tp > 1 || mesh->pp > 1)
        return qn__fail(QN_UNSUPPORTED,
                        "mesh: \"%s\": tensor and pipeline parallelism are not there yet; give "
                        "--mesh dp=%lld",
                        text, (long long)mesh->dp * mesh->tp * mesh->pp);
    int64_t wanted = (int64_t)mesh->dp * mesh->tp * mesh->pp;
    if (ranks <= 0 || ranks == wanted) return QN_OK;
    return qn__fail(QN_BAD_ARGUMENT,
                    "mesh: \"%s\" is for %lld ranks, and there are %d: start it by `mpirun -n %lld "
                    "quernel ...`, or leave --mesh out",
                    text, (long long)wanted, ranks, (long long)wanted);
}
