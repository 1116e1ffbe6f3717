#include "runner.h"

const op_cases cases_fill = {
    .tiny =
        (const char *const[]){
            "fill value=0.3 : x=f32[19]",
            NULL,
        },
    .device =
        (const char *const[]){
            "fill value=-1.7 : x=f32[{0,1,61,4095,4096,4097}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "fill value={0,0.1} : x=f32[{15,16,17,33,65,257,8209}]",
            "fill value=2 : x=f32[2,3,5,7]",
            "fill value=3 : x=f32[]",
            "fill value={-7,2147483647} : x=i32[{1,64,65,4097}]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "fill value=0.5 : x=i32[4]",
            "fill :",
            NULL,
        },
    .fwd = {.each = 1.2e-7},
    .why = "the value as f32",
};
