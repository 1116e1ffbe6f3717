/* What a tensor is, apart from where it lies: dtype, layout, shape. */
#ifndef QN_NUMERIC_TENSOR_H
#define QN_NUMERIC_TENSOR_H

#include <quernel/tensor.h>
#include <stddef.h>

/* Layout is part of a tensor's type. Files hold rows only; the others are derived tensors.
 *   rows     row-major
 *   panels   a matrix [rows, cols] (its last two dimensions) cut into panels of QN_PANEL rows, each
 * stored column by column: element (r, c) lies at (r / P) * P * cols + c * P + r % P, short panels
 *            padded with zeros. Decode reads weights in it as one stream. Of a quantized format:
 *            numeric/panels.h */
typedef enum qn_layout { QN_ROWS, QN_PANELS, QN_LAYOUT_COUNT } qn_layout;

enum { QN_PANEL = 32 };

typedef struct qn_desc {
    qn_dtype dtype;
    qn_layout layout;
    qn_shape shape;
} qn_desc;

/* Every dimension >= 0, product and byte size within int64. */
qn_status qn__shape_check(const qn_shape *shape, qn_dtype dtype) QN_MUST_USE;

/* Bytes of storage, padding of the layout included. */
uint64_t qn__desc_bytes(const qn_desc *desc);

/* Product of dim[from .. to). */
int64_t qn__shape_span(const qn_shape *shape, int from, int to);

/* "f32[4,64]" into text; returns text. */
const char *qn__desc_text(const qn_desc *desc, char *text, size_t bytes);

bool qn__dtype_parse(const char *name, size_t length, qn_dtype *dtype);

#endif
