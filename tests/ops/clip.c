#include "runner.h"

static bool fill(test *t, int in)
{
    static const double norm = 2.5;
    return in == 1 && fill_values(t, in, &norm, 1);
}

const op_cases cases_clip = {
    .tiny =
        (const char *const[]){
            "clip max_norm=0.5 : x=f32[19] norm=f32[1]",
            NULL,
        },
    .device =
        (const char *const[]){
            "clip max_norm={0.5,4} : x=f32[{0,1,61,4095,4096,4097}] norm=f32[1]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "clip max_norm={0,0.5,1} : x=f32[{15,16,17,33,65,257,8209}] norm=f32[1]",
            "clip : x=f32[2,3,5,7] norm=f32[1]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "clip : x=f32[4] norm=f32[2]",
            "clip : x=f32[4]",
            NULL,
        },
    .fwd = {.each = 5e-7},
    .why = "one sum, one division, one product",
    .fill = fill,
};
