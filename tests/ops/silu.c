#include "runner.h"

static bool fill(test *t, int in)
{
    return fill_activation(t, in);
}

const op_cases cases_silu = {
    .tiny =
        (const char *const[]){
            "silu : x=f32[19]",
            NULL,
        },
    .device =
        (const char *const[]){
            "silu : x={f16,bf16}[{1,61,4097}]",
            "silu : x=f32[{n:0,1,61,4095,4096,4097}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "silu : x=f32[{n:15,16,17,31,32,33,63,64,65,255,256,257,8209}]",
            "silu : x=f32[]",
            "silu : x=f32[3,0]",
            "silu : x=f32[2,3,5,7]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "silu : x=i32[4]",
            "silu :",
            NULL,
        },
    .fwd = {.each = 1e-6, .absolute = 1e-6},
    .bwd = {.each = 2e-6, .absolute = 2e-6},
    .why = "a few roundings, one exp and one division",
    .fill = fill,
};
