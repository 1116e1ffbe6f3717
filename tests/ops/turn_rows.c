#include "quantized.h"

#include <math.h>

/* Rows from the start stay where they are or are skipped, the others move behind. */
static bool fill(test *t, int in)
{
    int64_t count = t->in[in].count;
    double *d = t->in[in].d;
    if (qn_dtype_is_block(t->in[in].desc.dtype)) return fill_blocks(t, in);
    for (int64_t i = 0; in == 1 && i < count; i++) d[i] = random_pick(t, 0, 4) ? (double)i : -1;
    for (int64_t i = 0; in == 2 && i < count; i++)
        d[i] = random_pick(t, 0, 1) ? (double)i : (double)(count + i);
    for (int64_t i = 0; in == 3 && i + 1 < count; i += 2) {
        double angle = random_uniform(t, -3, 3);
        d[i] = cos(angle);
        d[i + 1] = sin(angle);
    }
    return in != 0;
}

const op_cases cases_turn_rows = {
    .tiny =
        (const char *const[]){
            "turn_rows : dst=f32[6,2,4] from=i32[3] to=i32[3] table=f32[2,2]",
            "turn_rows halves=1 : dst={q8_0,q4_0}[6,1,32] from=i32[3] to=i32[3] table=f32[16,2]",
            NULL,
        },
    .device =
        (const char *const[]){
            "turn_rows halves={0,1} : dst={f32,f16,bf16,q8_0,q4_0}[14,2,64] from=i32[7] to=i32[7]"
            " table=f32[32,2]",
            "turn_rows : dst={f32,f16,q8_0,q4_0}[14,3,64] from=i32[7] to=i32[7]",
            "turn_rows : dst=f32[{s:2,126,130},1,6] from=i32[{r:0,1}] to=i32[{r}] table=f32[3,2]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "turn_rows halves=1 : dst={f16,q8_0,q4_0}[300,{g:1,8},{32,96}] from=i32[129]"
            " to=i32[129]",
            "turn_rows halves=1 : dst={f32,q8_0}[300,2,128] from=i32[150] to=i32[150]"
            " table=f32[64,2]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "turn_rows : dst=f32[6,2,5] from=i32[3] to=i32[3] table=f32[2,2]",
            "turn_rows : dst=f32[6,2,4] from=i32[3] to=i32[2] table=f32[2,2]",
            "turn_rows : dst=q4_1[6,2,32] from=i32[3] to=i32[3]",
            "turn_rows : dst=f32[6,2,4] from=i32[3] to=i32[3] table=f32[4,2]",
            NULL,
        },
    .fwd = {.each = 0},
    .why = "the reference rounds every product and sum to a float, too",
    .fill = fill,
};
