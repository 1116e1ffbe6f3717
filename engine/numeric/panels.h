/* Matrices of quantized blocks as kernels read them: QN_PANELS of a block type.
 *
 * A matrix [rows, cols] is cut into panels of 32 rows (QN_PANEL; a short last panel is filled with
 * rows of zero bytes). A panel holds, for each block of columns in ascending order, the 32 rows'
 * blocks together: their fields one after another, each field unit by unit, each unit row by row,
 * so that lane r of a vector load is row r:
 *
 *   unit u of a field that begins at byte f of the block-panel: f + (u * 32 + r) * unit bytes
 *
 * Units are 4 bytes of quants, a 16-bit scale, or single bytes, so that the panel has exactly the
 * bytes of its rows. Two formats are changed on the way: the integers of q8_0 have their sign bit
 * turned (they are then unsigned, offset 128), and the fifth bits of q5_0 and q5_1 are spread:
 * element 4g + j of a block is bit 8j + g. cl_kernels/blocks/ has a header for each format. */
#ifndef QN_NUMERIC_PANELS_H
#define QN_NUMERIC_PANELS_H

#include "numeric/tensor.h"

/* Panels [first, last) of a matrix of `rows` rows, cols elements each (whole blocks): `blocks` is
 * the whole matrix row by row, as a file has it, `panels` the whole result. Any alignment. Threads
 * may share a matrix by panels. */
void qn__panels_pack(qn_dtype type, const void *blocks, int64_t rows, int64_t cols, int64_t first,
                     int64_t last, void *panels);
/* Is there such a layout for this type? */
bool qn__has_panels(qn_dtype type);

#endif
