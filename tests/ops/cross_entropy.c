#include "runner.h"

static bool fill(test *t, int in)
{
    if (in == 1) return fill_integers(t, in, -1, dim_of(t, 0, 1) - 1);
    return fill_uniform(t, in, -8, 8);
}

const op_cases cases_cross_entropy = {
    .tiny =
        (const char *const[]){
            "cross_entropy : logits=f32[3,19] targets=i32[3]",
            NULL,
        },
    .device =
        (const char *const[]){
            "cross_entropy : logits={f16,bf16}[3,{1,19,130}] targets=i32[3]",
            "cross_entropy : logits=f32[5,{1,2,61,63,64,65}] targets=i32[5]",
            "cross_entropy : logits=f32[{r:0,1,13,63,64,65},17] targets=i32[{r}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "cross_entropy : logits=f32[{r:1,3,67},{15,16,17,31,33,127,255,256,257,1023,4096}]"
            " targets=i32[{r}]",
            "cross_entropy : logits=f32[2,50257] targets=i32[2]",
            "cross_entropy : logits=f32[0,0] targets=i32[0]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "cross_entropy : logits=f32[3,4] targets=i32[4]",
            "cross_entropy : logits=f32[3,4] targets=f32[3]",
            "cross_entropy : logits=f32[3,4]",
            NULL,
        },
    .fwd = {.each = 2e-6, .absolute = 4e-6},
    .bwd = {.each = 4e-6, .absolute = 1e-6},
    .why = "logits reach 8, exponentials of differences carry 8 units of f32 rounding; the"
           " sum is of positives",
    .fill = fill,
};
