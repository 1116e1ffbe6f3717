#include "runner.h"

static bool fill(test *t, int in)
{
    return fill_activation(t, in);
}

const op_cases cases_relu = {
    .tiny =
        (const char *const[]){
            "relu : x=f32[19]",
            NULL,
        },
    .device =
        (const char *const[]){
            "relu : x={f16,bf16}[{1,61,4097}]",
            "relu : x=f32[{n:0,1,61,4095,4096,4097}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "relu : x=f32[{n:15,16,17,31,32,33,63,64,65,255,256,257,8209}]",
            "relu : x=f32[]",
            "relu : x=f32[3,0]",
            "relu : x=f32[2,3,5,7]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "relu : x=i32[4]",
            "relu :",
            NULL,
        },
    .fwd = {.each = 0},
    .why = "a choice, no arithmetic",
    .fill = fill,
};
