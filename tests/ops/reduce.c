#include "runner.h"

#include <math.h>

static bool fill(test *t, int in)
{
    fill_uniform(t, in, -1, 1);
    if (t->call.attr[1].i != 2) return true;
    for (int64_t i = 0; i < t->in[in].count; i++) /* with equals */
        if (i % 3 == 0) t->in[in].d[i] = floor(t->in[in].d[i] * 4 + 1) / 4;
    return true;
}

static double terms(const test *t)
{
    int64_t length = dim_of(t, 0, (int)t->call.attr[0].i);
    return t->call.attr[1].i == 0 ? (double)length / 2 + 1 : 1;
}

const op_cases cases_reduce = {
    .tiny =
        (const char *const[]){
            "reduce axis={0,1} kind={sum,mean,max} : x=f32[5,19]",
            NULL,
        },
    .device =
        (const char *const[]){
            "reduce axis={0,1} kind={sum,mean,max} : x={f16,bf16}[{5,130},19]",
            "reduce kind={sum,mean,max} : x=f32[{1,13,63,64,65}]",
            "reduce axis=1 kind={sum,mean,max} : x=f32[{0,1,61},{1,64,65}]",
            "reduce axis=0 kind={sum,mean,max} : x=f32[{1,61,64},{0,1,15,17}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "reduce axis={0,1,2,3} kind={sum,mean,max} : x=f32[2,3,5,7]",
            "reduce axis=1 kind={sum,mean,max} : x=f32[3,{15,16,17,255,256,257,4095,4096,4097}]",
            "reduce axis=0 kind={sum,mean,max} : x=f32[{15,16,17,65,129,1025},{16,33,257}]",
            "reduce axis=1 kind={sum,mean,max} : x=f32[2,{63,64,65,200},{1,16,33}]",
            "reduce kind={sum,mean,max} : x=f32[8209]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "reduce axis=2 : x=f32[3,4]",
            "reduce axis=-1 : x=f32[3,4]",
            "reduce : x=i32[3]",
            NULL,
        },
    .fwd = {.each = 1e-6, .absolute = 2e-7},
    .bwd = {.each = 2e-7},
    .why = "sums of up to 8209 terms within 1: the error grows as the root of their number,"
           " times the size of the partial sums",
    .fill = fill,
    .terms = terms,
};
