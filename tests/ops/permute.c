#include "runner.h"

const op_cases cases_permute = {
    .tiny =
        (const char *const[]){
            "permute p0=1 p1=0 : x=f32[3,7]",
            NULL,
        },
    .device =
        (const char *const[]){
            "permute p0=1 p1=0 : x={f16,bf16}[{3,33},{7,40}]",
            "permute p0=0 p1=2 p2=1 : x=bf16[2,17,35]",
            "permute p0=1 p1=0 : x=f32[{0,1,13,63,64,65},{1,17}]",
            "permute p0=0 p1=2 p2=1 : x=f32[2,{1,15,16,17},{3,64}]",
            "permute p0=1 p1=0 p2=2 : x=f32[3,5,{1,64,65}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "permute p0=1 p1=0 : x=i32[33,{16,65}]",
            "permute : x=f32[7]",
            "permute p0=1 p1=0 : x=f32[{15,16,17,31,32,33,127,129,257},{15,16,33,65}]",
            "permute p0=2 p1=0 p2=1 : x=f32[3,{5,33},17]",
            "permute p0=2 p1=1 p2=0 : x=f32[3,5,17]",
            "permute p0=0 p1=2 p2=1 p3=3 : x=f32[2,5,3,{7,16,64}]",
            "permute p0=3 p1=2 p2=1 p3=0 : x=f32[2,3,5,7]",
            "permute p0=2 p1=3 p2=0 p3=1 : x=f32[2,3,5,7]",
            "permute p0=1 p1=0 : x=f32[4097,2]",
            "permute p0=0 p1=1 p2=2 p3=3 : x=f32[2,3,5,7]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "permute p0=0 p1=0 : x=f32[3,4]",
            "permute p0=2 p1=0 : x=f32[3,4]",
            "permute p0=-1 p1=0 : x=f32[3,4]",
            NULL,
        },
    .fwd = {.each = 0},
    .why = "the same bits, elsewhere",
};
