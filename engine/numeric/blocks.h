/* Quantized formats on the host: blocks of elements that share scales, as ggml lays them out
 * (ggml-common.h). One C file a format; this is their one door.
 *
 * Blocks are bytes without alignment, little-endian. Nothing here allocates or keeps state: rows
 * may be encoded by several threads at once. */
#ifndef QN_NUMERIC_BLOCKS_H
#define QN_NUMERIC_BLOCKS_H

#include <quernel/tensor.h>

/* values [elements]: the f32 numbers that the blocks stand for. Every product and difference is
 * rounded to f32 by itself (no fused multiply-add), so the bits are ggml's. Any bytes are valid
 * blocks; a scale that is no number gives values that are none.
 * Errors: QN_BAD_ARGUMENT when `type` has no blocks or `elements` is no multiple of one. */
qn_status qn__blocks_decode(qn_dtype type, const void *blocks, int64_t elements,
                            float *values) QN_MUST_USE;

/* blocks [elements / block * bytes of a block]: the blocks whose values lie nearest to `values`,
 * rows of `row` elements. `importance` [row], >= 0, weighs the squared error of each column (the
 * mean of the squared activations that meet it); NULL weighs all alike. Without it q8_0, q4_0,
 * q4_1, q5_0 and q5_1 give ggml's bytes; the others minimise the squared error by a search of their
 * own. Values beyond what the format's scales can express become the largest it has.
 * Errors: QN_BAD_ARGUMENT as above, and when `row` does not divide `elements`; QN_NON_FINITE, with
 * the place, for a value or an importance that is no number. */
qn_status qn__blocks_encode(qn_dtype type, const float *values, int64_t elements, int64_t row,
                            const float *importance, void *blocks) QN_MUST_USE;

#endif
