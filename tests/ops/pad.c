#include "runner.h"

const op_cases cases_pad = {
    .tiny =
        (const char *const[]){
            "pad axis=1 before=2 after=1 : x=f32[3,7]",
            NULL,
        },
    .device =
        (const char *const[]){
            "pad axis=1 before=2 after=1 : x={f16,bf16}[3,{7,65}]",
            "pad before={0,1,61} after={0,3} : x=f32[{0,1,64}]",
            "pad axis=1 before=1 after={0,63,64,65} : x=f32[5,7]",
            "pad axis=0 before=3 after=2 : x=f32[2,{0,1,61}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "pad axis=1 before=3 after=1 : x=i32[3,{16,65}]",
            "pad axis={0,1,2,3} before={0,1} after=2 : x=f32[2,3,5,7]",
            "pad axis=1 before={15,16,17} after=4 : x=f32[3,33,{1,16,17}]",
            "pad before=4095 after=2 : x=f32[4097]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "pad before=-1 : x=f32[4]",
            "pad after=-1 : x=f32[4]",
            "pad axis=1 : x=f32[4]",
            NULL,
        },
    .fwd = {.each = 0},
    .why = "the same bits, elsewhere, and zeros",
};
