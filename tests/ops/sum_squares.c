#include "runner.h"

const op_cases cases_sum_squares = {
    .tiny =
        (const char *const[]){
            "sum_squares : x=f32[4099]",
            NULL,
        },
    .device =
        (const char *const[]){
            "sum_squares : x=f32[{0,1,61,4095,4096,4097}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "sum_squares : x=f32[{15,16,17,63,64,65,257,8191,8192,8193,20011}]",
            "sum_squares : x=f32[3,5,700]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "sum_squares : x=i32[4]",
            "sum_squares :",
            NULL,
        },
    .fwd = {.each = 2e-6},
    .why = "a sum of at most 4096 positives",
};
