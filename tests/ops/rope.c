#include "runner.h"

#include <math.h>

static bool fill(test *t, int in)
{
    if (in == 1) return fill_integers(t, in, 0, dim_of(t, 2, 0) - 1);
    if (in != 2) return false;
    for (int64_t i = 0; i + 1 < t->in[in].count; i += 2) {
        double angle = random_uniform(t, -3, 3);
        t->in[in].d[i] = cos(angle);
        t->in[in].d[i + 1] = sin(angle);
    }
    return true;
}

const op_cases cases_rope = {
    .tiny =
        (const char *const[]){
            "rope halves={0,1} : x=f32[3,2,10] pos=i32[3] table=f32[7,4,2]",
            NULL,
        },
    .device =
        (const char *const[]){
            "rope halves={0,1} : x={f16,bf16}[3,2,{10,70}] pos=i32[3] table=f32[7,4,2]",
            "rope halves={0,1} : x={f16,bf16}[3,2,70] pos=i32[3] table=f32[7,33,2]",
            "rope halves={0,1} : x=f32[{r:0,1,13,63,64,65},3,16] pos=i32[{r}] table=f32[17,8,2]",
            "rope halves={0,1} : x=f32[5,2,{2,3,31,32,33}] pos=i32[5] table=f32[9,1,2]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "rope halves={0,1} : x=f32[7,{1,2,5},64] pos=i32[7] "
            "table=f32[33,{1,3,15,16,17,31,32},2]",
            "rope halves={0,1} : x=f32[3,2,{127,128,129,256}] pos=i32[3] table=f32[1025,63,2]",
            "rope halves={0,1} : x=f32[{r:15,16,17,257},1,8] pos=i32[{r}] table=f32[5,4,2]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "rope : x=f32[3,2,6] pos=i32[3] table=f32[7,4,2]",
            "rope : x=f32[3,2,8] pos=i32[4] table=f32[7,4,2]",
            "rope : x=f32[3,8] pos=i32[3] table=f32[7,4,2]",
            "rope : x=f32[3,2,8] pos=i32[3] table=f32[7,4]",
            NULL,
        },
    .fwd = {.each = 3e-7, .absolute = 3e-7},
    .why = "two products and a sum",
    .fill = fill,
};
