#include "quantized.h"

static bool fill(test *t, int in)
{
    if (qn_dtype_is_block(t->in[in].desc.dtype)) return fill_blocks(t, in);
    if (in == 1 && qn_dtype_is_block(t->in[0].desc.dtype)) return fill_activation(t, in);
    if (in != 2) return false;
    int64_t rows = dim_of(t, 0, 0), step = 0;
    for (int64_t i = 0; i < t->in[2].count; i++) { /* ascending with gaps, then exchanged */
        step += random_pick(t, 0, 1) && rows - step > t->in[2].count - i;
        t->in[2].d[i] = (double)step++;
    }
    shuffle(t, 2);
    for (int64_t i = 0; i < t->in[2].count; i++)
        if (random_pick(t, 0, 4) == 0) t->in[2].d[i] = -1;
    return true;
}

const op_cases cases_scatter_rows = {
    .tiny =
        (const char *const[]){
            "scatter_rows : dst=f32[5,19] src=f32[3,19] index=i32[3]",
            "scatter_rows : dst={f16,q8_0,q4_0}[5,2,32] src=f32[3,2,32] index=i32[3]",
            NULL,
        },
    .device =
        (const char *const[]){
            "scatter_rows : dst={t:f16,bf16}[5,19] src={t}[3,19] index=i32[3]",
            "scatter_rows : dst=f32[7,{n:0,1,61,63,64,65}] src=f32[5,{n}] index=i32[5]",
            "scatter_rows : dst=f32[{s:1,13,64,65},3] src=f32[{s},3] index=i32[{s}]",
            "scatter_rows : dst=f32[5,3] src=f32[0,3] index=i32[0]",
            "scatter_rows : dst={q8_0,q4_0}[7,3,{d:32,96}] src={f32,f16,bf16}[{r:0,1,5},3,{d}]"
            " index=i32[{r}]",
            "scatter_rows : dst={f16,bf16}[5,{n:1,31,33,65}] src=f32[4,{n}] index=i32[4]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "scatter_rows : dst=i32[7,{n:3,65}] src=i32[5,{n}] index=i32[5]",
            "scatter_rows : dst=f32[33,{n:15,16,17,255,257,4097}] src=f32[{r:1,17},{n}]"
            " index=i32[{r}]",
            "scatter_rows : dst=f32[5,2,3,7] src=f32[4,2,3,7] index=i32[4]",
            "scatter_rows : dst=f32[300] src=f32[257] index=i32[257]",
            "scatter_rows : dst={q8_0,q4_0}[300,5,{d:64,128}] src=f32[257,5,{d}] index=i32[257]",
            "scatter_rows : dst={t:f32,f16,bf16}[30,{n:5,100}] src={f16,bf16}[17,{n}]"
            " index=i32[17]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "scatter_rows : dst=f32[5,3] src=f32[3,4] index=i32[3]",
            "scatter_rows : dst=f32[5,3] src=f32[3,3] index=i32[4]",
            "scatter_rows : dst=f32[5,3] src=f32[3,3] index=f32[3]",
            "scatter_rows : dst=q4_1[5,32] src=f32[3,32] index=i32[3]",
            "scatter_rows : dst=q8_0[5,3,16] src=f32[3,3,16] index=i32[3]",
            "scatter_rows : dst=f32[5,3] src=i32[3,3] index=i32[3]",
            NULL,
        },
    .fwd = {.each = 0},
    .why = "a copy, or rounded by a rule in floats and integers; blocks are judged byte by byte",
    .fill = fill,
};
