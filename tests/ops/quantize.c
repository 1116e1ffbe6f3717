#include "quantized.h"

static bool fill(test *t, int in)
{
    return fill_activation(t, in);
}

const op_cases cases_quantize = {
    .tiny =
        (const char *const[]){
            "quantize : x=f32[3,64]",
            NULL,
        },
    .device =
        (const char *const[]){
            "quantize : x={f32,f16,bf16}[5,96]",
            "quantize : x=f32[{0,1,7,15,16,17},{32,64,480}]",
            "quantize : x=f32[2,0]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "quantize : x=f32[{1,3,129},{32,480,512,544,4096}]",
            "quantize : x=f32[64]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "quantize : x=f32[3,31]",
            "quantize : x=i32[3,32]",
            NULL,
        },
    .fwd = {.each = 0},
    .why = "the definition is in floats and integers, and judged byte by byte",
    .fill = fill,
};
