#include "runner.h"

const op_cases cases_rms_norm = {
    .tiny =
        (const char *const[]){
            "rms_norm : x=f32[3,19] gamma=f32[19]",
            NULL,
        },
    .device =
        (const char *const[]){
            "rms_norm : x={f16,bf16}[{3,67},{n:19,64,130}] gamma=f32[{n}]",
            "rms_norm : x=f32[5,{c:1,13,63,64,65,128}] gamma=f32[{c}]",
            "rms_norm : x=f32[{0,1,61,63,64,65},16] gamma=f32[16]",
            "rms_norm out=q8x : x=f32[{1,5,65},{c:32,96,128,1056}] gamma=f32[{c}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "rms_norm : x=f32[{0,3},0] gamma=f32[0]",
            "rms_norm eps={1e-5,0.1} :"
            " x=f32[{1,33,129},{c:2,15,16,17,31,33,127,255,256,257,768,1023}] gamma=f32[{c}]",
            "rms_norm : x=f32[2,4097] gamma=f32[4097]",
            "rms_norm : x=f32[67,48] gamma=f32[48]",
            "rms_norm : x=f32[7] gamma=f32[7]",
            "rms_norm : x=f32[2,3,5,7] gamma=f32[7]",
            "rms_norm : x=f32[257,3] gamma=f32[3]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "rms_norm : x=f32[3,4] gamma=f32[3]",
            "rms_norm : x=f32[3,4]",
            "rms_norm out=q8x : x=f32[3,33] gamma=f32[33]",
            "rms_norm : x=f32[3,4] gamma=f32[1,4]",
            NULL,
        },
    .fwd = {.each = 2e-6, .largest = 4e-6},
    .bwd = {.each = 1e-5, .largest = 2e-5, .absolute = 2e-6},
    .why = "sums of up to 4097 terms in 64 lanes, then a few roundings; rows of near equals"
           " scale errors by rstd",
};
