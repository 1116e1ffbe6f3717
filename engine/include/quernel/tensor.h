/* Element types and shapes. */
#ifndef QUERNEL_TENSOR_H
#define QUERNEL_TENSOR_H

#include <quernel/status.h>
#include <stdbool.h>
#include <stdint.h>

/* Numbers, then quantized formats: blocks of elements of the last dimension that share scales, as
 * ggml defines and names them. q8x is our own, for activations only: 32 elements as float scale,
 * scale times the sum of the integers, int32 that sum negated, int32 that of the first 16 negated,
 * 32 int8. */
typedef enum qn_dtype {
    QN_F32,
    QN_F16,
    QN_BF16,
    QN_I32,
    QN_U8,
    QN_Q8_0,
    QN_Q4_0,
    QN_Q4_1,
    QN_Q5_0,
    QN_Q5_1,
    QN_Q2_K,
    QN_Q3_K,
    QN_Q4_K,
    QN_Q5_K,
    QN_Q6_K,
    QN_IQ4_NL,
    QN_IQ4_XS,
    QN_MXFP4,
    QN_Q8X,
    QN_DTYPE_COUNT
} qn_dtype;

enum { QN_MAX_RANK = 4 };

/* Row-major: dim[rank - 1] is contiguous. Rank 0 is a scalar. */
typedef struct qn_shape {
    int rank;
    int64_t dim[QN_MAX_RANK];
} qn_shape;

/* "f32", "q4_K", static storage. */
QN_API const char *qn_dtype_name(qn_dtype dtype);
/* Of one element; 0 where elements come in blocks. */
QN_API int qn_dtype_bytes(qn_dtype dtype);
/* Elements and bytes of a block; of one element where there are no blocks. */
QN_API int qn_dtype_block(qn_dtype dtype, int *bytes);
QN_API bool qn_dtype_is_block(qn_dtype dtype);

/* qn_shape_make(2, 3, 4) is [3, 4]. */
QN_API qn_shape qn_shape_make(int rank, ...);
QN_API bool qn_shape_equal(const qn_shape *a, const qn_shape *b);
/* Product of the dimensions (1 for a scalar). Shapes made by the library never overflow. */
QN_API int64_t qn_shape_elements(const qn_shape *shape);

#endif
