#include "runner.h"

const op_cases cases_pack = {
    .tiny =
        (const char *const[]){
            "pack trans={0,1} : x=f32[35,3]",
            NULL,
        },
    .device =
        (const char *const[]){
            "pack trans={0,1} : x=f32[{1,13,31,32,33},{1,5,64}]",
            "pack trans={0,1} : x=f32[{0,3},{0,2}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "pack trans={0,1} : x=f32[{15,16,17,63,64,65,96,257},{15,16,17,31,32,33,129}]",
            "pack trans={0,1} : x=f32[3,{5,33},{7,65}]",
            "pack trans={0,1} : x=f32[2,2,33,34]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "pack : x=f32[4]",
            "pack : x=i32[4,4]",
            NULL,
        },
    .fwd = {.each = 0},
    .why = "the same bits, elsewhere, and zeros",
};
