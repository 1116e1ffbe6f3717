/* Random weights of a model, made larger: results then differ by more than rounding. */
#ifndef QN_TESTS_MODEL_SCALED_WEIGHTS_H
#define QN_TESTS_MODEL_SCALED_WEIGHTS_H

#include "model/model.h"

#include <stdlib.h>

static inline void weights_scale(qn_model *model, float factor)
{
    qn_weight weight;
    for (int cursor = 0; qn__weight_next(&model->config, &cursor, &weight);) {
        size_t count = (size_t)qn_shape_elements(&weight.shape);
        float *values = malloc(count * sizeof *values);
        assert_ok(qn_store_read(model->store, weight.name, values, count * sizeof *values));
        for (size_t i = 0; i < count && weight.decay; i++) values[i] *= factor;
        assert_ok(qn_store_write(model->store, weight.name, values, count * sizeof *values));
        free(values);
    }
}

#endif
