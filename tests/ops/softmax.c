#include "runner.h"

static bool fill(test *t, int in)
{
    return fill_uniform(t, in, -8, 8);
}

const op_cases cases_softmax = {
    .tiny =
        (const char *const[]){
            "softmax : x=f32[3,19]",
            NULL,
        },
    .device =
        (const char *const[]){
            "softmax : x=f32[5,{1,2,61,63,64,65}]",
            "softmax : x=f32[{0,1,13,63,64,65},7]",
            "softmax : x=f32[7]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "softmax : x=f32[{0,3},0]",
            "softmax : x=f32[{1,67},{15,16,17,31,33,127,255,256,257,1023,4097}]",
            "softmax : x=f32[2,3,5,7]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "softmax : x=i32[4]",
            "softmax :",
            NULL,
        },
    .fwd = {.each = 3e-6, .absolute = 1e-9},
    .bwd = {.each = 1e-5, .largest = 1e-6, .absolute = 1e-7},
    .why = "exponentials of differences up to 16 carry 16 units of rounding of the"
           " argument; all terms positive",
    .fill = fill,
};
