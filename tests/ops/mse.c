#include "runner.h"

const op_cases cases_mse = {
    .tiny =
        (const char *const[]){
            "mse : x=f32[19] target=f32[19]",
            NULL,
        },
    .device =
        (const char *const[]){
            "mse : x=f32[{n:1,2,61,63,64,65,4095,4096,4097}] target=f32[{n}]",
            "mse : x=f32[3,5] target=f32[3,5]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "mse : x=f32[{n:15,16,17,31,33,127,255,256,257,8209,70001}] target=f32[{n}]",
            "mse : x=f32[2,3,5,7] target=f32[2,3,5,7]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "mse : x=f32[4] target=f32[5]",
            "mse : x=f32[4]",
            "mse : x=f32[2,2] target=f32[4]",
            NULL,
        },
    .fwd = {.each = 1e-6},
    .bwd = {.each = 1e-6},
    .why = "a sum of positives, then one division",
};
