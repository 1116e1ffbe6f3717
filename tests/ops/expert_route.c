#include "runner.h"

/* With many equals. */
static bool fill(test *t, int in)
{
    for (int64_t i = 0; i < t->in[in].count; i++)
        t->in[in].d[i] =
            random_pick(t, 0, 1) ? (double)random_pick(t, -2, 2) : random_uniform(t, -6, 6);
    return true;
}

const op_cases cases_expert_route = {
    .tiny =
        (const char *const[]){
            "expert_route count=2 norm={0,1} : logits=f32[3,7]",
            NULL,
        },
    .device =
        (const char *const[]){
            "expert_route count=1 norm={0,1} : logits=f32[5,{1,2,16,60,63,64,65}]",
            "expert_route count=8 norm={0,1} : logits=f32[{0,1,13,65},{8,128}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "expert_route count={1,4,15} norm={0,1} : logits=f32[{1,67},{15,16,17,33,257,512}]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "expert_route count=8 : logits=f32[3,7]",
            "expert_route count=0 : logits=f32[3,7]",
            "expert_route : logits=f32[7]",
            "expert_route : logits=i32[3,7]",
            NULL,
        },
    .fwd = {.each = 3e-6, .absolute = 1e-9},
    .why = "exponentials of differences up to 12 carry as many units of rounding of the argument;"
           " numbers of experts are exact",
    .fill = fill,
};
