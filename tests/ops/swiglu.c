#include "runner.h"

static bool fill(test *t, int in)
{
    if (in == 0) return fill_activation(t, in);
    return fill_uniform(t, in, -12, 12);
}

const op_cases cases_swiglu = {
    .tiny =
        (const char *const[]){
            "swiglu : gate=f32[19] up=f32[19]",
            NULL,
        },
    .device =
        (const char *const[]){
            "swiglu : gate={t:f16,bf16}[{n:1,61,4097}] up={t}[{n}]",
            "swiglu : gate=f32[{n:0,1,61,4095,4096,4097}] up=f32[{n}]",
            "swiglu out=q8x : gate=f32[{r:0,1,3,17},{n:32,96,544}] up=f32[{r},{n}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "swiglu : gate=f32[{n:15,16,17,31,32,33,63,64,65,255,256,257,8209}] up=f32[{n}]",
            "swiglu : gate=f32[] up=f32[]",
            "swiglu : gate=f32[3,0] up=f32[3,0]",
            "swiglu : gate=f32[2,3,5,7] up=f32[2,3,5,7]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "swiglu : gate=f32[4] up=f32[5]",
            "swiglu : gate=f32[4]",
            "swiglu out=q8x : gate=f32[4] up=f32[4]",
            "swiglu : gate=f32[2,2] up=f32[4]",
            NULL,
        },
    .fwd = {.each = 1e-6, .absolute = 1e-5},
    .bwd = {.each = 2e-6, .absolute = 2e-5},
    .why = "as silu, times up, which reaches 12",
    .fill = fill,
};
