#include "runner.h"

#include <math.h>

static double terms(const test *t)
{
    return t->call.in[0].desc.shape.rank > 0
               ? sqrt((double)t->in[0].count / (t->in[1].count ? (double)t->in[1].count : 1)) + 1
               : 1;
}

const op_cases cases_multiply = {
    .tiny =
        (const char *const[]){
            "multiply : a=f32[3,7] b=f32[3,7]",
            "multiply : a=f32[3,7] b=f32[7]",
            NULL,
        },
    .device =
        (const char *const[]){
            "multiply : a={t:f16,bf16}[3,{n:7,65}] b={t}[3,{n}]",
            "multiply : a={t:f16,bf16}[37,{n:7,65}] b={t}[{n}]",
            "multiply : a={t:f16,bf16}[37] b={t}[1]",
            "multiply : a=f32[{n:0,1,61,4095,4096,4097}] b=f32[{n}]",
            "multiply : a=f32[5,{n:0,1,61,63,64,65}] b=f32[{n}]",
            "multiply : a=f32[{n:0,1,61,4095,4096,4097},3] b=f32[3]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "multiply : a=f32[{n:15,16,17,31,32,33,257,8209}] b=f32[{n}]",
            "multiply : a=f32[129,{n:15,16,17,33,255,257,4097}] b=f32[{n}]",
            "multiply : a=f32[2,3,5,7] b=f32[5,7]",
            "multiply : a=f32[2,3,5,7] b=f32[3,5,7]",
            "multiply : a=f32[2,3,5,7] b=f32[2,3,5,7]",
            "multiply : a=f32[2,3,5,1] b=f32[1]",
            "multiply : a=f32[] b=f32[]",
            "multiply : a=f32[0,7] b=f32[7]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "multiply : a=f32[7,3] b=f32[7]",
            "multiply : a=f32[7] b=f32[3,7]",
            "multiply : a=f32[7]",
            NULL,
        },
    .fwd = {.each = 1.2e-7},
    .bwd = {.each = 1e-6, .largest = 1e-6, .absolute = 2e-7},
    .why = "one rounding",
    .terms = terms,
};
