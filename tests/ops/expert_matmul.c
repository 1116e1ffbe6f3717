#include "experts.h"

static bool fill(test *t, int in)
{
    return fill_pairs(t, in, 2, 3);
}

static double terms(const test *t)
{
    return (double)dim_of(t, 1, 2) + 1;
}

const op_cases cases_expert_matmul = {
    .tiny =
        (const char *const[]){
            "expert_matmul : x=f32[3,7] w=f32[4,5,7] order=i32[3,2] groups=i32[5,2]",
            "expert_matmul : x=f32[3,2,7] w=f32[4,17,7] order=i32[3,2] groups=i32[5,2]",
            NULL,
        },
    .device =
        (const char *const[]){
            "expert_matmul : x=f32[{r:0,1,5,9},{k:0,1,33}] w=f32[3,{1,16,37,65},{k}]"
            " order=i32[{r},2] groups=i32[4,2]",
            "expert_matmul : x=f32[{r:1,6},{j:1,4},19] w=f32[7,33,19] order=i32[{r},{j}]"
            " groups=i32[8,2]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "expert_matmul : x=f32[{r:1,17,129},{k:64,300}] w=f32[8,{31,96},{k}] order=i32[{r},4]"
            " groups=i32[9,2]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "expert_matmul : x=f32[3,7] w=f32[4,5,8] order=i32[3,2] groups=i32[5,2]",
            "expert_matmul : x=f32[3,7] w=f32[4,5,7] order=i32[4,2] groups=i32[5,2]",
            "expert_matmul : x=f32[3,7] w=f32[4,5,7] order=i32[3,2] groups=i32[4,2]",
            "expert_matmul : x=f32[3,3,7] w=f32[4,5,7] order=i32[3,2] groups=i32[5,2]",
            "expert_matmul : x=f32[3,7] w=f32[5,7] order=i32[3,2] groups=i32[5,2]",
            "expert_matmul : x=f32[3,7] w=f32[4,5,7] order=f32[3,2] groups=i32[5,2]",
            NULL,
        },
    .fwd = {.each = 1e-6, .absolute = 6e-8},
    .why = "a chain of k roundings of 2^-24 of sums of terms up to 1",
    .fill = fill,
    .terms = terms,
};
