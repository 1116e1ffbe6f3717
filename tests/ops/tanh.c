#include "runner.h"

static bool fill(test *t, int in)
{
    return fill_activation(t, in);
}

const op_cases cases_tanh = {
    .tiny =
        (const char *const[]){
            "tanh : x=f32[19]",
            NULL,
        },
    .device =
        (const char *const[]){
            "tanh : x={f16,bf16}[{1,61,4097}]",
            "tanh : x=f32[{n:0,1,61,4095,4096,4097}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "tanh : x=f32[{n:15,16,17,31,32,33,63,64,65,255,256,257,8209}]",
            "tanh : x=f32[]",
            "tanh : x=f32[3,0]",
            "tanh : x=f32[2,3,5,7]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "tanh : x=i32[4]",
            "tanh :",
            NULL,
        },
    .fwd = {.each = 1e-6, .absolute = 1e-7},
    .bwd = {.each = 1e-6, .absolute = 1e-6},
    .why = "a few roundings; 1 - y^2 cancels where y is near 1",
    .fill = fill,
};
