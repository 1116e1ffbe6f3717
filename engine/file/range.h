/* A tensor in a file: a name, a type, a shape, and where its bytes lie in the map. */
#ifndef QN_FILE_RANGE_H
#define QN_FILE_RANGE_H

#include "numeric/tensor.h"

enum { QN_RANGE_RANK = 8 };

/* Borrowed from the handle of the file it came from, and valid as long as that is open. */
typedef struct qn_range {
    const char *name;       /* NUL-terminated */
    const char *dtype_name; /* as the file says it: "BF16", "F8_E4M3" */
    qn_dtype dtype;         /* QN_DTYPE_COUNT when it is none of ours */
    int rank;
    int64_t dim[QN_RANGE_RANK]; /* row-major: dim[rank - 1] is contiguous */
    const uint8_t *data;        /* may be unaligned; NULL when bytes == 0 */
    uint64_t bytes;
    uint64_t offset; /* of data, from the start of its file */
} qn_range;

/* The same as a descriptor. QN_UNSUPPORTED if the dtype is none of ours or the rank is above
 * QN_MAX_RANK; `origin` (a path) is for the message. */
qn_status qn__range_desc(const qn_range *range, const char *origin, qn_desc *desc) QN_MUST_USE;

/* "bf16[4,64]" or "F8_E4M3[4,64]" into text; returns text. */
const char *qn__range_text(const qn_range *range, char *text, size_t bytes);

#endif
