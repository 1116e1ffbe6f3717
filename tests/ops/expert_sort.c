#include "runner.h"

static bool fill(test *t, int in)
{
    return fill_integers(t, in, -1, t->call.attr[0].i);
}

const op_cases cases_expert_sort = {
    .tiny =
        (const char *const[]){
            "expert_sort experts=5 : ids=i32[3,2]",
            NULL,
        },
    .device =
        (const char *const[]){
            "expert_sort experts={1,2,8,61} : ids=i32[{0,1,5,33},{1,2,8}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "expert_sort experts={3,128,513} : ids=i32[{1,129,512},{1,4,8}]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "expert_sort experts=0 : ids=i32[3,2]",
            "expert_sort experts=5 : ids=i32[6]",
            "expert_sort experts=5 : ids=f32[3,2]",
            NULL,
        },
    .fwd = {.each = 0},
    .why = "whole numbers",
    .fill = fill,
};
