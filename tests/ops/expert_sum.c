#include "runner.h"

static double terms(const test *t)
{
    return (double)t->call.in[0].desc.shape.dim[1] + 1;
}

const op_cases cases_expert_sum = {
    .tiny =
        (const char *const[]){
            "expert_sum : x=f32[3,2,7] weights=f32[3,2]",
            "expert_sum : x=f32[3,2,7] weights=f32[3,2] shared=f32[3,7] gate=f32[3,1]",
            NULL,
        },
    .device =
        (const char *const[]){
            "expert_sum : x=f32[{r:0,1,13},{k:1,2,8},{n:0,1,61,64,65}] weights=f32[{r},{k}]",
            "expert_sum : x=f32[{r:1,5},3,{n:1,17,64}] weights=f32[{r},3] shared=f32[{r},{n}]"
            " gate=f32[{r},1]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "expert_sum : x=f32[{r:1,17},4,{n:15,16,17,2047,4097}] weights=f32[{r},4]"
            " shared=f32[{r},{n}] gate=f32[{r},1]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "expert_sum : x=f32[3,2,7] weights=f32[3,3]",
            "expert_sum : x=f32[6,7] weights=f32[3,2]",
            "expert_sum : x=f32[3,2,7] weights=f32[3,2] shared=f32[3,7]",
            "expert_sum : x=f32[3,2,7] weights=f32[3,2] shared=f32[3,7] gate=f32[3,7]",
            NULL,
        },
    .fwd = {.each = 1e-6, .absolute = 3e-7},
    .why = "a rounding of 2^-24 for each term of size 1, and the sigmoid's few units",
    .terms = terms,
};
