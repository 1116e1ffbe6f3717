#include "quantized.h"

/* Rows cut into sequences; a row sees any part of its sequence, the causal part, or nothing. */
static void sequences(test *t, double *ranges, int64_t rows)
{
    for (int64_t base = 0, end; base < rows; base = end) {
        end = random_pick(t, 0, 2) ? random_pick(t, base + 1, rows) : rows;
        bool causal = random_pick(t, 0, 1);
        for (int64_t r = base; r < end; r++) {
            int64_t from = causal || random_pick(t, 0, 1) ? base : random_pick(t, base, r);
            int64_t to = causal || random_pick(t, 0, 1) ? r + 1 : random_pick(t, from, end);
            const int64_t range[4] = {base, from, to, end};
            for (int i = 0; i < 4; i++) ranges[r * 4 + i] = (double)range[i];
        }
    }
}

/* Few rows over many keys, as in decoding: most see all, some a window, one nothing. */
static void one_sequence(test *t, double *ranges, int64_t rows, int64_t keys)
{
    for (int64_t r = 0; r < rows; r++) {
        int64_t base = random_pick(t, 0, 3) ? 0 : random_pick(t, 0, keys);
        int64_t from = random_pick(t, 0, 1) ? base : random_pick(t, base, keys);
        int64_t to = random_pick(t, 0, 1) ? keys : random_pick(t, from, keys);
        const int64_t range[4] = {base, from, to, keys};
        for (int i = 0; i < 4; i++) ranges[r * 4 + i] = (double)range[i];
    }
}

static bool fill(test *t, int in)
{
    int64_t rows = dim_of(t, 0, 0), keys = t->call.in[4].there ? dim_of(t, 4, 0) : dim_of(t, 1, 0);
    if (in == 4) return fill_integers(t, in, 0, dim_of(t, 1, 0) - 1);
    if (qn_dtype_is_block(t->in[in].desc.dtype)) return fill_blocks(t, in);
    if (in != 3) return false;
    if (rows == keys) sequences(t, t->in[3].d, rows);
    else one_sequence(t, t->in[3].d, rows, keys);
    return true;
}

static const char *no_gradient(const test *t)
{
    bool alike = t->call.in[0].desc.dtype == t->call.in[1].desc.dtype;
    return t->call.in[4].there || dim_of(t, 0, 0) != dim_of(t, 1, 0) || !alike
               ? "it needs as many keys as rows, of one type, and no slots"
               : NULL;
}

const op_cases cases_attention = {
    .tiny =
        (const char *const[]){
            "attention : q=f32[5,2,3] k=f32[5,1,3] v=f32[5,1,4] ranges=i32[5,4]",
            "attention soft_cap=1.5 : q=f32[3,2,4] k=f32[7,1,4] v=f32[7,1,4] ranges=i32[3,4]"
            " slots=i32[9]",
            "attention : q=f32[18,2,8] k=f32[18,1,8] v=f32[18,1,4] ranges=i32[18,4]",
            "attention : q=f32[3,2,32] k={t:f16,q8_0,q4_0}[9,1,32] v={t}[9,1,32] ranges=i32[3,4]"
            " slots=i32[7]",
            NULL,
        },
    .device =
        (const char *const[]){
            "attention : q={t:f16,bf16}[5,2,3] k={t}[5,1,3] v={t}[5,1,4] ranges=i32[5,4]",
            "attention : q={t:f16,bf16}[35,4,20] k={t}[35,2,20] v={t}[35,2,17] "
            "ranges=i32[35,4]",
            "attention soft_cap=1.5 : q={t:f16,bf16}[3,2,4] k={t}[7,1,4] v={t}[7,1,4] "
            "ranges=i32[3,4] slots=i32[9]",
            "attention : q=f32[{r:0,1,13,63,64,65},2,16] k=f32[{r},2,16] v=f32[{r},2,16]"
            " ranges=i32[{r},4]",
            "attention scale={0,0.3} soft_cap={0,2} : q=f32[17,6,8] k=f32[17,2,8] v=f32[17,2,12]"
            " ranges=i32[17,4]",
            "attention : q=f32[9,3,{d:1,3,15,17,32,64}] k=f32[9,1,{d}] v=f32[9,1,{1,16,33}]"
            " ranges=i32[9,4]",
            "attention : q=f32[{r:1,5},4,16] k=f32[{s:1,40,255,256,257,300},2,16]"
            " v=f32[{s},2,16] ranges=i32[{r},4]",
            "attention : q=f32[{r:1,3},2,8] k=f32[37,1,8] v=f32[37,1,8] ranges=i32[{r},4]"
            " slots=i32[{1,36,257,300}]",
            "attention : q=f32[{r:1,5},4,64] k={t:f16,q8_0,q4_0}[300,2,64] v={t}[300,2,32]"
            " ranges=i32[{r},4] slots=i32[{1,257,300}]",
            "attention soft_cap=2 : q=bf16[3,6,32] k={t:f32,q4_0}[41,2,32] v={t}[41,2,96]"
            " ranges=i32[3,4]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "attention : q={t:f16,bf16}[37,4,20] k={t}[37,2,20] v={t}[37,2,68] ranges=i32[37,4]",
            "attention : q={t:f16,bf16}[300,2,16] k={t}[300,2,16] v={t}[300,2,16] "
            "ranges=i32[300,4]",
            "attention keys=3 : q=f32[5,2,3] k=f32[5,1,3] v=f32[5,1,4] ranges=i32[5,4]",
            "attention scale=0.2 soft_cap={0,1.5} :"
            " q=f32[{r:31,33,129,257,300},{h:2,4},{d:16,64}] k=f32[{r},2,{d}] v=f32[{r},2,{d}] "
            "ranges=i32[{r},4]",
            "attention : q=f32[19,2,{d:4,20,192,256}] k=f32[19,1,{d}] v=f32[19,1,{4,68,128,256}]"
            " ranges=i32[19,4]",
            "attention soft_cap={0,3} : q=f32[530,2,8] k=f32[530,1,8] v=f32[530,1,12]"
            " ranges=i32[530,4]",
            "attention : q=f32[600,1,5] k=f32[600,1,5] v=f32[600,1,7] ranges=i32[600,4]",
            "attention : q=f32[7,8,{d:80,96,127,128,129}] k=f32[7,2,{d}] v=f32[7,2,{d}]"
            " ranges=i32[7,4]",
            "attention : q=f32[2,4,64] k=f32[{s:511,512,513,1025},1,64] v=f32[{s},1,64]"
            " ranges=i32[2,4] slots=i32[{s}]",
            "attention : q=f32[{r:1,17},8,{d:32,96,256}] k={t:f16,q8_0,q4_0}[70,4,{d}]"
            " v={t}[70,4,{d}] ranges=i32[{r},4]",
            "attention : q=f32[17,8,64] k={t:q8_0,q4_0}[70,1,64] v={t}[70,1,64] ranges=i32[17,4]",
            "attention soft_cap={0,2} : q={f32,f16,bf16}[3,6,32] k={t:f32,q8_0,q4_0}[41,2,32]"
            " v={t}[41,2,96] ranges=i32[3,4]",
            "attention : q=f32[3,4,36] k={t:f16,bf16}[70,2,36] v={t}[70,2,68] ranges=i32[3,4]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "attention : q=f32[5,3,4] k=f32[5,2,4] v=f32[5,2,4] ranges=i32[5,4]",
            "attention : q=f32[5,2,4] k=f32[5,2,3] v=f32[5,2,4] ranges=i32[5,4]",
            "attention : q=f32[5,2,4] k=f32[5,2,4] v=f32[6,2,4] ranges=i32[5,4]",
            "attention : q=f32[5,2,4] k=f32[5,2,4] v=f32[5,2,4] ranges=i32[5,3]",
            "attention : q=f32[5,2,4] k=f32[5,2,4] v=f32[5,2,4] ranges=i32[4,4]",
            "attention : q=f32[5,2,32] k=q8_0[5,2,32] v=q4_0[5,2,32] ranges=i32[5,4]",
            "attention : q=f32[5,2,32] k=q4_1[5,2,32] v=q4_1[5,2,32] ranges=i32[5,4]",
            "attention : q=f32[5,2,16] k=q8_0[5,2,16] v=q8_0[5,2,16] ranges=i32[5,4]",
            NULL,
        },
    .fwd = {.each = 5e-6, .largest = 1e-6, .absolute = 1e-6},
    .bwd = {.each = 2e-5, .largest = 4e-6, .absolute = 2e-6},
    .why = "dot products of up to 129 terms enter an exponential; weighted means of values"
           " within 1",
    .fill = fill,
    .no_gradient = no_gradient,
};
