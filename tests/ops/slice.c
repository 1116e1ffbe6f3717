#include "runner.h"

const op_cases cases_slice = {
    .tiny =
        (const char *const[]){
            "slice axis=1 from=2 to=5 : x=f32[3,7]",
            NULL,
        },
    .device =
        (const char *const[]){
            "slice axis=1 from=2 to=5 : x={f16,bf16}[3,{7,65}]",
            "slice from=0 to={0,1,61,64,65} : x=f32[65]",
            "slice axis=1 from=1 to={1,2,64,65} : x=f32[5,66]",
            "slice axis=0 from=3 to=5 : x=f32[7,{0,1,61}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "slice axis=1 from=1 to=18 : x=i32[3,{18,65}]",
            "slice axis={0,1,2,3} from={0,1} to=2 : x=f32[2,3,5,7]",
            "slice axis=1 from={0,15,16,17} to=33 : x=f32[3,33,{1,16,17}]",
            "slice from=4095 to=4097 : x=f32[8209]",
            "slice axis=2 from=5 to={5,6,261} : x=f32[2,3,300]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "slice from=2 to=1 : x=f32[4]",
            "slice from=0 to=5 : x=f32[4]",
            "slice axis=1 from=0 to=1 : x=f32[4]",
            "slice from=-1 to=1 : x=f32[4]",
            NULL,
        },
    .fwd = {.each = 0},
    .why = "the same bits, elsewhere",
};
