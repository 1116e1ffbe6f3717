#include "quantized.h"

static bool fill(test *t, int in)
{
    return in == 0 ? fill_panels(t, 0) : fill_integers(t, in, -1, dim_of(t, 0, 0));
}

const op_cases cases_qembedding = {
    .tiny =
        (const char *const[]){
            "qembedding : table={q8_0,q4_0,mxfp4,q4_K,q6_K}.panels[5,256] ids=i32[3]",
            NULL,
        },
    .device =
        (const char *const[]){
            "qembedding : table=" ALL_FORMATS ".panels[37,512] ids=i32[11]",
            "qembedding : table=q4_0.panels[{1,31,32,33,97},{0,32,96}] ids=i32[{0,1,5}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "qembedding : table=" ALL_FORMATS ".panels[65,768] ids=i32[67]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "qembedding : table=f32[5,32] ids=i32[3]",
            "qembedding : table=q4_0[5,32] ids=i32[3]",
            NULL,
        },
    .fwd = {.each = 0},
    .why = "integers times scales, rounded once or twice as the op says",
    .fill = fill,
};
