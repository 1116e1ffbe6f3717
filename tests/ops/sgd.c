#include "runner.h"

static bool fill(test *t, int in)
{
    static const double hyper[] = {1e-2, 0.9, 0.1, 0.5};
    return in == 3 && fill_values(t, in, hyper, 4);
}

const op_cases cases_sgd = {
    .tiny =
        (const char *const[]){
            "sgd : p=f32[19] g=f32[19] m=f32[19] hyper=f32[4]",
            NULL,
        },
    .device =
        (const char *const[]){
            "sgd decay={0,1} : p=f32[{n:0,1,61,4095,4096,4097}] g=f32[{n}] m=f32[{n}] hyper=f32[4]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "sgd decay={0,1} : p=f32[{n:15,16,17,31,33,64,65,257,8209}] g=f32[{n}] m=f32[{n}]"
            " hyper=f32[4]",
            "sgd : p=f32[3,5] g=f32[3,5] m=f32[3,5] hyper=f32[4]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "sgd : p=f32[4] g=f32[5] m=f32[4] hyper=f32[4]",
            "sgd : p=f32[4] g=f32[4] m=f32[4] hyper=f32[3]",
            NULL,
        },
    .fwd = {.each = 1e-6, .absolute = 3e-7},
    .why = "a few roundings; a sum may cancel to near 0 beside terms within 1",
    .fill = fill,
};
