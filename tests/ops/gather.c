#include "runner.h"

#include <math.h>

static bool fill(test *t, int in)
{
    if (in != 1) return false;
    return fill_integers(t, in, 0, dim_of(t, 0, t->call.in[0].desc.shape.rank - 1) - 1);
}

static double terms(const test *t)
{
    return sqrt((double)t->in[1].count) + 1;
}

const op_cases cases_gather = {
    .tiny =
        (const char *const[]){
            "gather : x=f32[3,7] index=i32[3,5]",
            NULL,
        },
    .device =
        (const char *const[]){
            "gather : x=f32[5,{1,2,61,64}] index=i32[5,{0,1,3,65}]",
            "gather : x=f32[{r:0,1,13,63,64,65},7] index=i32[{r},2]",
            "gather : x=f32[9] index=i32[4]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "gather : x=f32[{r:3,33},{15,16,17,255,257,1024}] index=i32[{r},{1,16,17,129}]",
            "gather : x=f32[2,3,5,7] index=i32[2,3,5,{1,4}]",
            "gather : x=f32[4097] index=i32[{1,257}]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "gather : x=f32[3,7] index=i32[4,5]",
            "gather : x=f32[3,7] index=i32[3]",
            "gather : x=f32[3,7] index=f32[3,5]",
            NULL,
        },
    .fwd = {.each = 0},
    .bwd = {.each = 1e-6, .absolute = 1e-6},
    .why = "a copy forward; backward sums the elements of one index",
    .fill = fill,
    .terms = terms,
};
