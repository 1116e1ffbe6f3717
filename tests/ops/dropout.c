#include "runner.h"

static bool fill(test *t, int in)
{
    if (in != 1) return false;
    fill_integers(t, in, INT32_MIN, INT32_MAX);
    t->in[in].d[3] = (double)random_pick(t, 0, 1 << 30);
    return true;
}

const op_cases cases_dropout = {
    .tiny =
        (const char *const[]){
            "dropout p=0.4 : x=f32[3,7] rng=i32[4]",
            NULL,
        },
    .device =
        (const char *const[]){
            "dropout p=0.4 : x={f16,bf16}[3,{7,65}] rng=i32[4]",
            "dropout p={0,0.1,0.9} stream=3 : x=f32[{0,1,61,4095,4096,4097}] rng=i32[4]",
            "dropout p=0.5 : x=f32[5,{1,3,61}] rng=i32[4]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "dropout p={0.1,0.5} stream={0,2147483647} : x=f32[{15,16,17,31,33,64,65,257,8209}]"
            " rng=i32[4]",
            "dropout p=0.3 : x=f32[2,3,5,7] rng=i32[4]",
            "dropout : x=f32[0,4] rng=i32[4]",
            "dropout p=1 : x=f32[65] rng=i32[4]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "dropout p=1.5 : x=f32[4] rng=i32[4]",
            "dropout p=-0.5 : x=f32[4] rng=i32[4]",
            "dropout : x=f32[4] rng=i32[3]",
            "dropout : x=f32[4]",
            NULL,
        },
    .fwd = {.each = 3e-7},
    .why = "one product with 1 / (1 - p), itself rounded",
    .fill = fill,
};
