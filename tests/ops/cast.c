#include "runner.h"

static bool fill(test *t, int in)
{
    static const double hard[] = {0,           65504,       65519,       65520,      -65520,
                                  1e6,         0x1p-24,     0x1p-25,     0x1.8p-25,  0x1p-14,
                                  0x1.ffcp-15, 1 + 0x1p-11, 1 + 0x3p-11, 1 + 0x1p-8, 1 + 0x3p-8,
                                  0x1p-126,    1e-30,       3e38,        0.1};
    enum { HARD = sizeof hard / sizeof hard[0] };
    for (int64_t i = 0; i < t->in[in].count; i++)
        t->in[in].d[i] =
            i % 2 ? hard[random_pick(t, 0, HARD - 1)] : random_uniform(t, -70000, 70000);
    return true;
}

const op_cases cases_cast = {
    .tiny =
        (const char *const[]){
            "cast to={f32,f16,bf16} : x={f32,f16,bf16}[19]",
            NULL,
        },
    .device =
        (const char *const[]){
            "cast to={f32,f16,bf16} : x=f32[{0,1,61,4095,4096,4097}]",
            "cast to={f32,f16,bf16} : x={f16,bf16}[{0,1,61,4095,4096,4097}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "cast to={f32,f16,bf16} : x={f32,f16,bf16}[{15,16,17,63,64,65,257,8209}]",
            "cast to=f16 : x=f32[]",
            "cast to=bf16 : x=f32[2,3,5,7]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "cast to=f16 : x=i32[4]",
            "cast :",
            NULL,
        },
    .fwd = {.each = 0},
    .bwd = {.each = 0.02, .absolute = 4e-8},
    .why = "forward is rounded to nearest even, which is one number; backward rounds to x's type, "
           "denormals too",
    .fill = fill,
};
