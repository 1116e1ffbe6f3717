/* Weights that stay in blocks on the device. */
#ifndef QN_MODEL_QUANTIZED_H
#define QN_MODEL_QUANTIZED_H

#include "model/weights.h"

/* How a weight lies on the device: a matrix that products or the look-up of tokens read, in a
 * quantized format, as [outputs, inputs] in panels; everything else in f32, row by row. `wanted`: a
 * format to quantize to what the source has in floats; QN_DTYPE_COUNT: none, only what is quantized
 * already stays so. Rows that are no whole number of blocks stay in f32. */
qn_desc qn__weight_desc(const qn_weight_source *source, const qn_weight *weight, qn_dtype wanted);
/* Fill the store's tensor of a weight that qn__weight_desc put into panels. */
qn_status qn__weight_write_panels(qn_store *store, const qn_weight_source *source,
                                  const qn_weight *weight) QN_MUST_USE;
/* "q8_0", case ignored, of those that products read. */
qn_status qn__quantized_type(const char *name, qn_dtype *type) QN_MUST_USE;

#endif
