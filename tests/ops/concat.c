#include "runner.h"

const op_cases cases_concat = {
    .tiny =
        (const char *const[]){
            "concat axis=1 : a=f32[3,7] b=f32[3,2]",
            "concat : a=f32[3] b=f32[2] c=f32[1] d=f32[5]",
            NULL,
        },
    .device =
        (const char *const[]){
            "concat axis=1 : a={t:f16,bf16}[3,{7,65}] b={t}[3,2]",
            "concat : a=f32[{0,1,61,64,65}] b=f32[{0,3}]",
            "concat axis=1 : a=f32[5,{1,63,64,65}] b=f32[5,2] c=f32[5,3]",
            "concat axis=0 : a=f32[2,{n:0,1,61}] b=f32[3,{n}] c=f32[0,{n}] d=f32[1,{n}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "concat axis=1 : a=i32[3,17] b=i32[3,{2,64}]",
            "concat axis=0 : a=f32[2,3,5,7] b=f32[1,3,5,7]",
            "concat axis=1 : a=f32[2,3,5,7] b=f32[2,1,5,7] c=f32[2,2,5,7]",
            "concat axis=2 : a=f32[2,3,5,7] b=f32[2,3,1,7]",
            "concat axis=3 : a=f32[2,3,5,7] b=f32[2,3,5,1] c=f32[2,3,5,2] d=f32[2,3,5,16]",
            "concat : a=f32[4095] b=f32[4097]",
            "concat axis=1 : a=f32[3,{15,16,17,255,256,257}] b=f32[3,{16,33}]",
            "concat : a=f32[3] b=f32[2] d=f32[5]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "concat : a=f32[3,2] b=f32[3,3]",
            "concat axis=1 : a=f32[3] b=f32[3]",
            "concat : a=f32[3]",
            "concat axis=1 : a=f32[2,3] b=f32[3,3]",
            NULL,
        },
    .fwd = {.each = 0},
    .why = "the same bits, elsewhere",
};
