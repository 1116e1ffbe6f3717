#include "runner.h"

#include <math.h>

/* Some outside on both sides. */
static bool fill(test *t, int in)
{
    if (in != 2) return false;
    return fill_integers(t, in, -1, dim_of(t, 0, 0));
}

static double terms(const test *t)
{
    return sqrt((double)t->in[2].count) + 1;
}

const op_cases cases_add_rows = {
    .tiny =
        (const char *const[]){
            "add_rows : sum=f32[5,19] x=f32[7,19] ids=i32[7]",
            NULL,
        },
    .device =
        (const char *const[]){
            "add_rows : sum=f32[5,19] x={f16,bf16}[7,19] ids=i32[7]",
            "add_rows : sum=f32[11,{n:0,1,13,63,64,65}] x=f32[{r:1,67},{n}] ids=i32[{r}]",
            "add_rows : sum=f32[3,8] x=f32[0,8] ids=i32[0]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "add_rows : sum=f32[{1,2,97},5] x=f32[33,5] ids=i32[33]",
            "add_rows : sum=f32[13,{n:15,16,17,31,33,127,128,129,256,1023}]"
            " x=f32[{r:31,129},{n}] ids=i32[{r}]",
            "add_rows : sum=f32[4097,3] x=f32[{r:1,16,257},3] ids=i32[{r}]",
            "add_rows : sum=f32[1,16] x=bf16[300,16] ids=i32[300]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "add_rows : sum=f32[5,3] x=f32[3,4] ids=i32[3]",
            "add_rows : sum=f32[5,3] x=f32[3,3] ids=i32[4]",
            "add_rows : sum=f32[5,3] x=f32[3,3] ids=f32[3]",
            "add_rows : sum=bf16[5,3] x=f32[3,3] ids=i32[3]",
            NULL,
        },
    .fwd = {.each = 1e-6, .absolute = 1e-6},
    .why = "sums of the rows of one id",
    .fill = fill,
    .terms = terms,
};
