#include "runner.h"

#include <math.h>

static bool fill(test *t, int in)
{
    if (in != 1) return false;
    return fill_integers(t, in, 0, dim_of(t, 0, 0) - 1);
}

static double terms(const test *t)
{
    return sqrt((double)t->in[1].count) + 1;
}

const op_cases cases_embedding = {
    .tiny =
        (const char *const[]){
            "embedding : table=f32[5,19] ids=i32[7]",
            NULL,
        },
    .device =
        (const char *const[]){
            "embedding out={same,f32,f16,bf16} : table={f32,f16,bf16}[5,19] ids=i32[7]",
            "embedding : table=f32[11,{0,1,13,63,64,65}] ids=i32[{1,67}]",
            "embedding : table=f32[3,8] ids=i32[0]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "embedding : table=f32[{1,2,97},5] ids=i32[33]",
            "embedding : table=f32[13,{15,16,17,31,33,127,128,129,256,1023}] ids=i32[{31,129}]",
            "embedding : table=f32[4097,3] ids=i32[{1,16,257}]",
            "embedding : table=f32[1,16] ids=i32[300]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "embedding : table=f32[5] ids=i32[7]",
            "embedding : table=f32[5,3] ids=f32[7]",
            "embedding : table=f32[5,3]",
            NULL,
        },
    .fwd = {.each = 0},
    .bwd = {.each = 1e-6, .absolute = 1e-6},
    .why = "a copy forward; backward sums the rows of one id",
    .fill = fill,
    .terms = terms,
};
