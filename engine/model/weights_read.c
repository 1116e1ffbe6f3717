/* Weights from a source into a store, each in the layout it was declared in. */
#include "base/check.h"
#include "base/hash.h"
#include "model/quantized.h"

#include <stdlib.h>

static qn_status read_all(qn_store *store, const qn_weight_source *source, qn_hasher *hasher)
{
    qn_weight weight;
    for (int cursor = 0; qn__weight_next(source->config, &cursor, &weight);) {
        int index = qn__store_index(store, weight.name);
        if (index >= 0 && store->tensors[index].desc.layout == QN_PANELS) {
            QN_TRY(qn__weight_write_panels(store, source, &weight));
            continue;
        }
        size_t bytes = (size_t)qn_shape_elements(&weight.shape) * sizeof(float);
        float *values = malloc(bytes + 1);
        if (!values) return qn__fail(QN_OS_ERROR, "no memory for %zu bytes", bytes);
        qn_status status = source->fetch(source, &weight, values);
        if (status == QN_OK && hasher) qn__hasher_add(hasher, values, bytes);
        if (status == QN_OK)
            status = qn__store_write_floats(store, weight.name, values,
                                            qn_shape_elements(&weight.shape));
        free(values);
        QN_TRY(status);
    }
    return QN_OK;
}

qn_status qn__weights_read(qn_store *store, const qn_weight_source *source, uint64_t *hash)
{
    if (!hash) return read_all(store, source, NULL);
    qn_hasher *hasher = qn__hasher_create();
    if (!hasher) return qn__fail(QN_OS_ERROR, "out of memory");
    qn_status status = read_all(store, source, hasher);
    *hash = qn__hasher_value(hasher);
    qn__hasher_destroy(&hasher);
    return status;
}
