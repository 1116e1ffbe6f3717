#include "runner.h"

#include <math.h>

/* rstd^2 of the row of nearest equals: what rounding of x - mean is multiplied by, backward twice.
 */
static double terms(const test *t)
{
    int64_t cols = dim_of(t, 0, t->call.in[0].desc.shape.rank - 1);
    double largest = 1;
    for (int64_t at = 0; cols > 0 && at < t->in[0].count; at += cols) {
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < cols; i++) mean += t->in[0].d[at + i] / (double)cols;
        for (int64_t i = 0; i < cols; i++)
            variance += pow(t->in[0].d[at + i] - mean, 2) / (double)cols;
        largest = fmax(largest, 1 / (variance + t->call.attr[0].f));
    }
    return largest;
}

const op_cases cases_layer_norm = {
    .tiny =
        (const char *const[]){
            "layer_norm : x=f32[3,19] gamma=f32[19] beta=f32[19]",
            "layer_norm : x=f32[3,19] gamma=f32[19]",
            NULL,
        },
    .device =
        (const char *const[]){
            "layer_norm : x={f16,bf16}[{3,67},{n:19,64,130}] gamma=f32[{n}] beta=f32[{n}]",
            "layer_norm : x=f32[5,{c:1,13,63,64,65,128}] gamma=f32[{c}] beta=f32[{c}]",
            "layer_norm : x=f32[{0,1,61,63,64,65},16] gamma=f32[16] beta=f32[16]",
            "layer_norm : x=f32[3,{c:1,17,64}] gamma=f32[{c}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "layer_norm : x=f32[{0,3},0] gamma=f32[0]",
            "layer_norm eps={1e-5,0.1} :"
            " x=f32[{1,33,129},{c:2,15,16,17,31,33,127,255,256,257,768,1023}] gamma=f32[{c}] "
            "beta=f32[{c}]",
            "layer_norm : x=f32[2,4097] gamma=f32[4097] beta=f32[4097]",
            "layer_norm : x=f32[67,48] gamma=f32[48] beta=f32[48]",
            "layer_norm : x=f32[7] gamma=f32[7]",
            "layer_norm : x=f32[2,3,5,7] gamma=f32[7] beta=f32[7]",
            "layer_norm : x=f32[257,3] gamma=f32[3]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "layer_norm : x=f32[3,4] gamma=f32[3]",
            "layer_norm : x=f32[3,4]",
            "layer_norm : x=f32[3,4] gamma=f32[1,4]",
            NULL,
        },
    .fwd = {.each = 2e-6, .largest = 2e-6, .absolute = 2e-7},
    .bwd = {.each = 1e-5, .largest = 2e-5, .absolute = 1e-6},
    .why = "sums of up to 4097 terms in 64 lanes, then a few roundings; rows of near equals"
           " multiply the rounding of x - mean by rstd",
    .terms = terms,
};
