/* y[r] = table[ids[r]] of a quantized table; other ids give zeros. */
#include "helpers.h"
#include "quantized.h"

void ref_qembedding_fwd(const ref_call *call)
{
    const ref_tensor *table = call->in[0], *ids = call->in[1];
    int64_t cols = table->dim[1];
    for (int64_t r = 0; r < ref_count(ids); r++)
        for (int64_t c = 0; c < cols; c++) {
            int64_t id = (int64_t)ids->d[r];
            float y = 0;
            if (id >= 0 && id < table->dim[0]) {
                ref_element x = ref_quantized(table, id, c);
                y = x.scale * (float)x.value;
                if (x.has_plus) y = y + x.plus;
            }
            call->out[0]->d[r * cols + c] = y;
        }
}
