#include "quantized.h"

static bool fill(test *t, int in)
{
    if (in == 0) return fill_q8x(t, 0);
    return in == 1 || in == 4 || in == 6 ? fill_panels(t, in) : fill_uniform(t, in, -1, 1);
}

const op_cases cases_qmatmul = {
    .tiny =
        (const char *const[]){
            "qmatmul : x=q8x[1,256] w={q8_0,q4_0,q4_K}.panels[5,256]",
            "qmatmul : x=q8x[6,256] w=q6_K.panels[33,256] bias=f32[33] c=f32[6,33]",
            NULL,
        },
    .device =
        (const char *const[]){
            "qmatmul : x=q8x[{1,3,9},512] w={q8_0,q3_K,q4_K,q6_K,mxfp4}.panels[37,512]",
            /* every m with every k, then with every n */
            "qmatmul : x=q8x[{0,1,2,4,5,8,13},{k:0,32,480,512,544}] w={q8_0,q5_1}.panels[33,{k}]",
            "qmatmul : x=q8x[{1,4,5,13},544] w={q8_0,q5_1}.panels[{1,16,31},544]",
            "qmatmul : x=q8x[{1,3,5},64] w=q4_0.panels[40,64] bias=f32[40]",
            "qmatmul : x=q8x[{m:1,3,5},64] w=q4_0.panels[40,64] bias=f32[40] c=f32[{m},40]",
            "qmatmul : x=q8x[{1,3,9},256] w=q4_K.panels[65,256] w2=q4_K.panels[33,256] "
            "w3=q4_K.panels[7,256] bias3=f32[7]",
            "qmatmul : x=q8x[{1,2,5},64] w=q8_0.panels[31,64] bias=f32[31] w2=q8_0.panels[64,64] "
            "bias2=f32[64]",
            "qmatmul glu=silu : x=q8x[{1,3,9},256] w={t:q4_K,q6_K}.panels[{n:1,33,64},256] "
            "w2={t}.panels[{n},256]",
            "qmatmul glu=silu out=q8x : x=q8x[{1,4,9},64] w={t:q8_0,q4_1}.panels[{n:32,96},64] "
            "w2={t}.panels[{n},64] bias2=f32[{n}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "qmatmul : x=q8x[{127,128,129},1024] w={q8_0,q4_K}.panels[48,1024]",
            "qmatmul : x=q8x[{1,2,7},768] w=" ALL_FORMATS ".panels[{32,65},768]",
            "qmatmul : x=q8x[{6,17},1280] w=" ALL_FORMATS ".panels[64,1280]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "qmatmul : x=f32[3,32] w=q4_0.panels[5,32]",
            "qmatmul : x=q8x[3,32] w=q4_0[5,32]",
            "qmatmul : x=q8x[3,64] w=q4_0.panels[5,32]",
            "qmatmul : x=q8x[3,32] w=q4_0.panels[5,32] bias=f32[4]",
            "qmatmul : x=q8x[3,32] w=q4_0.panels[5,32] c=f32[2,5]",
            "qmatmul : x=q8x[3,32] w=q4_0.panels[5,32] w2=q8_0.panels[5,32]",
            "qmatmul : x=q8x[3,32] w=q4_0.panels[5,32] bias2=f32[5]",
            "qmatmul glu=silu : x=q8x[3,32] w=q4_0.panels[5,32]",
            "qmatmul glu=silu : x=q8x[3,32] w=q4_0.panels[5,32] w2=q4_0.panels[6,32]",
            "qmatmul glu=silu out=q8x : x=q8x[3,32] w=q4_0.panels[5,32] w2=q4_0.panels[5,32]",
            "qmatmul out=q8x : x=q8x[3,32] w=q4_0.panels[32,32]",
            NULL,
        },
    .fwd = {.each = 0},
    .why = "integers are exact and the order of floats is the op's: bit for bit",
    .fill = fill,
};
