#include "runner.h"

const op_cases cases_copy = {
    .tiny =
        (const char *const[]){
            "copy : x=f32[19]",
            NULL,
        },
    .device =
        (const char *const[]){
            "copy : x=f32[{n:0,1,61,4095,4096,4097}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "copy : x=f32[{n:15,16,17,31,32,33,63,64,65,255,256,257,8209}]",
            "copy : x=f32[]",
            "copy : x=f32[3,0]",
            "copy : x=f32[2,3,5,7]",
            "copy : x={f16,bf16,i32,u8}[{0,1,63,64,65,4095,4096,4097}]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "copy :",
            NULL,
        },
    .fwd = {.each = 0},
    .why = "the same bits",
};
