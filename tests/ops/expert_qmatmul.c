#include "experts.h"
#include "quantized.h"

static bool fill(test *t, int in)
{
    if (in == 0) return fill_q8x(t, 0);
    return in == 1 || in == 4 ? fill_panels(t, in) : fill_pairs(t, in, 2, 3);
}

const op_cases cases_expert_qmatmul = {
    .tiny =
        (const char *const[]){
            "expert_qmatmul : x=q8x[1,256] w={q8_0,q4_0,q4_K}.panels[3,5,256] order=i32[1,2]"
            " groups=i32[4,2]",
            "expert_qmatmul : x=q8x[6,2,256] w=q6_K.panels[3,33,256] order=i32[6,2]"
            " groups=i32[4,2]",
            NULL,
        },
    .device =
        (const char *const[]){
            "expert_qmatmul : x=q8x[{r:1,3,17},512] w=q8_0.panels[4,37,512] order=i32[{r},3]"
            " groups=i32[5,2]",
            "expert_qmatmul : x=q8x[17,512] w=q4_K.panels[4,37,512] order=i32[17,3] "
            "groups=i32[5,2]",
            "expert_qmatmul : x=q8x[{r:0,1,2,9},2,{k:32,544}] w=q8_0.panels[5,{1,33},{k}]"
            " order=i32[{r},2] groups=i32[6,2]",
            "expert_qmatmul : x=q8x[{r:1,3,40},64] w=q8_0.panels[2,40,64] order=i32[{r},2]"
            " groups=i32[3,2] w2=q8_0.panels[2,70,64]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "expert_qmatmul : x=q8x[{r:1,7,150},768] w=" ALL_FORMATS
            ".panels[2,{32,65},768] order=i32[{r},2] groups=i32[3,2]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "expert_qmatmul : x=f32[3,32] w=q4_0.panels[4,5,32] order=i32[3,2] groups=i32[5,2]",
            "expert_qmatmul : x=q8x[3,32] w=q4_0[4,5,32] order=i32[3,2] groups=i32[5,2]",
            "expert_qmatmul : x=q8x[3,64] w=q4_0.panels[4,5,32] order=i32[3,2] groups=i32[5,2]",
            "expert_qmatmul : x=q8x[3,32] w=q4_0.panels[4,5,32] order=i32[3,2] groups=i32[4,2]",
            "expert_qmatmul : x=q8x[3,32] w=q4_0.panels[5,32] order=i32[3,2] groups=i32[5,2]",
            "expert_qmatmul : x=q8x[3,32] w=q4_0.panels[4,5,32] order=i32[3,2] groups=i32[5,2]"
            " w2=q8_0.panels[4,5,32]",
            "expert_qmatmul : x=q8x[3,32] w=q4_0.panels[4,5,32] order=i32[3,2] groups=i32[5,2]"
            " w2=q4_0.panels[3,5,32]",
            NULL,
        },
    .fwd = {.each = 0},
    .why = "integers are exact and the order of floats is qmatmul's: bit for bit",
    .fill = fill,
};
