#include "runner.h"

const op_cases cases_scale = {
    .tiny =
        (const char *const[]){
            "scale factor=0.3 : x=f32[19]",
            NULL,
        },
    .device =
        (const char *const[]){
            "scale factor=0.3 : x={f16,bf16}[{1,61,4097}]",
            "scale factor=-1.7 : x=f32[{0,1,61,4095,4096,4097}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "scale factor={0,1,0.1} : x=f32[{15,16,17,63,64,65,257,8209}]",
            "scale factor=3 : x=f32[]",
            "scale factor=0.7 : x=f32[2,3,5,7]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "scale : x=i32[4]",
            "scale :",
            NULL,
        },
    .fwd = {.each = 1.2e-7},
    .why = "one rounding",
};
