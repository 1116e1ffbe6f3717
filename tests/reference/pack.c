/* y is x [.., rows, cols] (trans=1: its last two dimensions exchanged first) in panels of 32 rows:
 * element (r, c) at (r/32) 32 cols + c 32 + r%32 of its matrix, zeros where the last panel has no
 * row. y's buffer holds ceil(rows/32) 32 cols values a matrix. */
#include "helpers.h"

#include <stdbool.h>

enum { PANEL = 32 };

void ref_pack_fwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0];
    bool trans = call->attr[0] != 0;
    int64_t rows = x->dim[trans ? x->rank - 1 : x->rank - 2];
    int64_t cols = x->dim[trans ? x->rank - 2 : x->rank - 1];
    int64_t matrices = ref_span(x, 0, x->rank - 2), padded = (rows + PANEL - 1) / PANEL * PANEL;
    for (int64_t b = 0; b < matrices; b++)
        for (int64_t r = 0; r < padded; r++)
            for (int64_t c = 0; c < cols; c++) {
                int64_t from = b * rows * cols + (trans ? c * rows + r : r * cols + c);
                int64_t to = b * padded * cols + r / PANEL * PANEL * cols + c * PANEL + r % PANEL;
                call->out[0]->d[to] = r < rows ? x->d[from] : 0;
            }
}
