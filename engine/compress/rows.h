/* Rows of numbers from one element type to another, on several threads, and how far off they are
 * afterwards. */
#ifndef QN_COMPRESS_ROWS_H
#define QN_COMPRESS_ROWS_H

#include "numeric/tensor.h"

typedef struct qn_rows {
    qn_dtype from, to;       /* f32, f16, bf16 or blocks */
    const uint8_t *data;     /* of `from`, any alignment */
    int64_t row;             /* elements of a row, whole blocks */
    int64_t rows;            /* of a matrix */
    const float *importance; /* [matrices, row], or NULL */
    int threads;             /* at least 1 */
} qn_rows;

typedef struct qn_row_sums {
    double error, power; /* sum (x - y)^2, sum x^2 */
} qn_row_sums;

/* Rows first to first + count, counted over all matrices, into `out`; sums are added to, in the
 * order of the rows whatever the number of threads. QN_NON_FINITE for a value that is no number,
 * QN_UNSUPPORTED for one that f16 cannot hold. */
qn_status qn__rows_convert(const qn_rows *rows, int64_t first, int64_t count, uint8_t *out,
                           qn_row_sums *sums) QN_MUST_USE;

/* Bytes of a row of that type. */
size_t qn__row_bytes(qn_dtype type, int64_t row);

#endif
