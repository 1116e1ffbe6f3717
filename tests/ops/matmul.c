#include "runner.h"

static double terms(const test *t)
{
    const qn_shape *a = &t->call.in[0].desc.shape;
    int64_t m = a->dim[a->rank - 2], k = a->dim[a->rank - 1],
            n = dim_of(t, 1, t->call.in[1].desc.shape.rank - 1);
    int64_t longest = m > k ? m : k;
    return 8 + (double)(longest > n ? longest : n);
}

static const char *no_gradient(const test *t)
{
    return t->call.attr[2].i ? "act is fused after differentiation" : NULL;
}

const op_cases cases_matmul = {
    .tiny =
        (const char *const[]){
            "matmul trans_a=0 trans_b=0 : a=f32[5,7] b=f32[7,19]",
            "matmul trans_a=0 trans_b=1 : a=f32[5,7] b=f32[19,7]",
            "matmul trans_a=1 trans_b=0 : a=f32[7,5] b=f32[7,19]",
            "matmul trans_a=1 trans_b=1 : a=f32[7,5] b=f32[19,7]",
            "matmul act={gelu,gelu_erf,silu,relu,tanh} : a=f32[5,7] b=f32[7,19] bias=f32[19]"
            " c=f32[5,19] +pre",
            "matmul : a=f32[2,3,7] b=f32[2,7,5]",
            "matmul trans_a=1 : a=f32[7,5] b=f32[7,19] onto=f32[5,19] onto2=f32[5,19]",
            "matmul trans_b=1 act=silu : a=bf16[5,19] b=bf16[7,19] bias=f32[7] c=f32[5,7] +pre",
            "matmul trans_a=1 out=f32 : a=f16[18,5] b=f16[18,7]",
            NULL,
        },
    .device =
        (const char *const[]){
            /* every m with every n, then every k */
            "matmul trans_a=0 trans_b=0 out={same,f32} : "
            "a={t:f16,bf16}[{m:1,13,49},{k:17}] b={t}[{k},{n:1,61}]",
            "matmul trans_a=0 trans_b=0 out={same,f32} : "
            "a={t:f16,bf16}[{m:13},{k:0,1}] b={t}[{k},{n:1,61}]",
            "matmul trans_a=0 trans_b=1 out={same,f32} : "
            "a={t:f16,bf16}[{m:1,13,49},{k:17}] b={t}[{n:1,61},{k}]",
            "matmul trans_a=0 trans_b=1 out={same,f32} : "
            "a={t:f16,bf16}[{m:13},{k:0,1}] b={t}[{n:1,61},{k}]",
            "matmul trans_a=1 trans_b=0 out={same,f32} : "
            "a={t:f16,bf16}[{k:17},{m:1,13,49}] b={t}[{k},{n:1,61}]",
            "matmul trans_a=1 trans_b=0 out={same,f32} : "
            "a={t:f16,bf16}[{k:0,1},{m:13}] b={t}[{k},{n:1,61}]",
            "matmul trans_a=1 trans_b=1 out={same,f32} : "
            "a={t:f16,bf16}[{k:17},{m:1,13,49}] b={t}[{n:1,61},{k}]",
            "matmul trans_a=1 trans_b=1 out={same,f32} : "
            "a={t:f16,bf16}[{k:0,1},{m:13}] b={t}[{n:1,61},{k}]",
            "matmul act={gelu,silu} out={same,f32} : a={t:f16,bf16}[13,6] b={t}[6,33] "
            "bias=f32[33] c=f32[13,33] +pre",
            "matmul : a={t:f16,bf16}[3,7,9] b={t}[3,9,7]",
            "matmul : a={t:f16,bf16}[3,7,9] b={t}[9,7] bias=f32[7]",
            "matmul trans_b={0,1} : a=bf16[37,33] b=bf16[33,33]",
            "matmul trans_a=1 trans_b={0,1} : a=bf16[33,37] b=bf16[33,33]",
            "matmul trans_a=0 trans_b=0 : a=f32[{m:0,1,13},{k:17}] b=f32[{k},{n:1,61}]",
            "matmul trans_a=0 trans_b=0 : a=f32[{m:13},{k:0,1}] b=f32[{k},{n:1,61}]",
            "matmul trans_a=0 trans_b=1 : a=f32[{m:0,1,13},{k:17}] b=f32[{n:1,61},{k}]",
            "matmul trans_a=0 trans_b=1 : a=f32[{m:13},{k:0,1}] b=f32[{n:1,61},{k}]",
            "matmul trans_a=1 trans_b=0 : a=f32[{k:17},{m:0,1,13}] b=f32[{k},{n:1,61}]",
            "matmul trans_a=1 trans_b=0 : a=f32[{k:0,1},{m:13}] b=f32[{k},{n:1,61}]",
            "matmul trans_a=1 trans_b=1 : a=f32[{k:17},{m:0,1,13}] b=f32[{n:1,61},{k}]",
            "matmul trans_a=1 trans_b=1 : a=f32[{k:0,1},{m:13}] b=f32[{n:1,61},{k}]",
            "matmul trans_a=0 trans_b=0 : a=f32[{m:63,64,65},5] b=f32[5,33]",
            "matmul trans_a=0 trans_b=1 : a=f32[{m:63,64,65},5] b=f32[33,5]",
            "matmul trans_a=1 trans_b=0 : a=f32[5,{m:63,64,65}] b=f32[5,33]",
            "matmul trans_a=1 trans_b=1 : a=f32[5,{m:63,64,65}] b=f32[33,5]",
            "matmul trans_a=0 trans_b=0 : a=f32[5,9] b=f32[9,{n:15,16,17,31,32,33,64}]",
            "matmul trans_a=0 trans_b=1 : a=f32[5,9] b=f32[{n:15,16,17,31,32,33,64},9]",
            "matmul trans_a=1 trans_b=0 : a=f32[9,5] b=f32[9,{n:15,16,17,31,32,33,64}]",
            "matmul trans_a=1 trans_b=1 : a=f32[9,5] b=f32[{n:15,16,17,31,32,33,64},9]",
            "matmul act={none,gelu,gelu_erf,silu,relu,tanh} : a=f32[13,{k:0,5}] b=f32[{k},33]"
            " bias=f32[33] +pre",
            "matmul trans_a={0,1} trans_b={0,1} : a=f32[17,17] b=f32[17,17] c=f32[17,17]"
            " onto=f32[17,17] onto2=f32[17,17] onto3=f32[17,17]",
            "matmul trans_b={0,1} : a=f32[13,{k:1,9}] b=f32[{k},{k}] onto=f32[13,{k}]",
            "matmul trans_a=1 out=f32 : a={t:f16,bf16}[5,49] b={t}[5,61] onto=f32[49,61]",
            "matmul : a=f32[3,7,9] b=f32[3,9,7] onto=f32[3,7,7] onto2=f32[3,7,7]",
            "matmul act={none,gelu} : a=f32[13,5] b=f32[5,17] c=f32[13,17]",
            "matmul trans_b=1 act=silu : a=f32[3,5] b=f32[17,5] bias=f32[17] c=f32[3,17] +pre",
            "matmul trans_a={0,1} trans_b={0,1} : a=f32[3,7,7] b=f32[3,7,7]",
            "matmul trans_a={0,1} trans_b={0,1} : a=f32[3,7,7] b=f32[7,7] bias=f32[7]",
            "matmul : a=f32[0,3,5] b=f32[5,7]",
            "matmul : a=f32[2,0,5] b=f32[2,5,7]",
            "matmul : a=f32[2,3,5] b=f32[2,5,0]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "matmul trans_b=0 : a={t:f16,bf16}[29,2600] b={t}[2600,330]",
            "matmul trans_b=1 : a={t:f16,bf16}[29,2600] b={t}[330,2600]",
            "matmul out=f32 : a={t:f16,bf16}[{m:300,301},5000] b={t}[5000,40]",
            "matmul trans_a=1 out=f32 : a={t:f16,bf16}[33,771] b={t}[33,{n:1024,1040}]",
            "matmul trans_a={0,1} trans_b={0,1} act=gelu : a={t:f16,bf16}[64,64] "
            "b={t}[64,64] bias=f32[64] +pre",
            /* several visits to y; rows of b fetched ahead; flipped tiles taken up again */
            "matmul : a=f32[30,2100] b=f32[2100,{n:64,96}]",
            "matmul trans_b={0,1} act=gelu : a=f32[29,1025] b=f32[1025,1025] bias=f32[1025] +pre",
            "matmul trans_b=1 : a=f32[{m:16,30},2100] b=f32[41,2100]",
            /* round a matrix unit's tile of 64 x 64 x 32 */
            "matmul trans_b={0,1} out={same,f32} : a={t:f16,bf16}[{63,64,65},{k:64}] b={t}[{k},64]",
            "matmul trans_a={0,1} : a=bf16[{k:66},{k}] b=bf16[{k},{n:63,65,130}]",
            "matmul trans_a={0,1} trans_b=1 : a=f16[{k:31},{k}] b=f16[{n:66,129},{k}]",
            /* sums that go on from a large c */
            "matmul trans_a=1 out=f32 : a={t:f32,bf16}[5,771] b={t}[5,1024] c=f32[771,1024]",
            /* sums that are added when they are whole; k in several stretches */
            "matmul trans_a=1 out=f32 : a={t:f32,bf16}[5,771] b={t}[5,1024] onto=f32[771,1024]",
            "matmul trans_a={0,1} trans_b={0,1} out=f32 : a={t:f32,bf16}[66,66] b={t}[66,66]"
            " onto=f32[66,66] onto2=f32[66,66] onto3=f32[66,66]",
            "matmul : a={t:f32}[29,2100] b={t}[2100,{n:31,64}] onto=f32[29,{n}]",
            "matmul trans_b=1 out=f32 : a={t:f32,bf16}[29,2100] b={t}[41,2100] onto=f32[29,41]"
            " onto2=f32[29,41]",
            /* y written past the caches */
            "matmul trans_a=1 : a=f32[5,771] b=f32[5,{n:1024,1040}]",
            "matmul trans_a=0 trans_b=0 : a=f32[{m:1,7,11,12,13,23,24,25,97},{k:3}]"
            " b=f32[{k},{n:1,16,17,47,48,49}]",
            "matmul trans_a=0 trans_b=0 : a=f32[{m:1,13,24},{k:64}]"
            " b=f32[{k},{n:1,17,48}]",
            "matmul trans_a=0 trans_b=1 : a=f32[{m:1,7,11,12,13,23,24,25,97},{k:3}]"
            " b=f32[{n:1,16,17,47,48,49},{k}]",
            "matmul trans_a=0 trans_b=1 : a=f32[{m:1,13,24},{k:64}]"
            " b=f32[{n:1,17,48},{k}]",
            "matmul trans_a=1 trans_b=0 : a=f32[{k:3},{m:1,7,11,12,13,23,24,25,97}]"
            " b=f32[{k},{n:1,16,17,47,48,49}]",
            "matmul trans_a=1 trans_b=0 : a=f32[{k:64},{m:1,13,24}]"
            " b=f32[{k},{n:1,17,48}]",
            "matmul trans_a=1 trans_b=1 : a=f32[{k:3},{m:1,7,11,12,13,23,24,25,97}]"
            " b=f32[{n:1,16,17,47,48,49},{k}]",
            "matmul trans_a=1 trans_b=1 : a=f32[{k:64},{m:1,13,24}]"
            " b=f32[{n:1,17,48},{k}]",
            "matmul trans_a=0 trans_b=0 : a=f32[17,{k:15,16,17,31,32,33,63,65,255,256,257,4097}]"
            " b=f32[{k},33]",
            "matmul trans_a=0 trans_b=1 : a=f32[17,{k:15,16,17,31,32,33,63,65,255,256,257,4097}]"
            " b=f32[33,{k}]",
            "matmul trans_a=1 trans_b=0 : a=f32[{k:15,16,17,31,32,33,63,65,255,256,257,4097},17]"
            " b=f32[{k},33]",
            "matmul trans_a=1 trans_b=1 : a=f32[{k:15,16,17,31,32,33,63,65,255,256,257,4097},17]"
            " b=f32[33,{k}]",
            "matmul trans_a=0 trans_b=0 : a=f32[{m:127,128,129,257},7] b=f32[7,{n:63,65,130}]",
            "matmul trans_a=0 trans_b=1 : a=f32[{m:127,128,129,257},7] b=f32[{n:63,65,130},7]",
            "matmul trans_a=1 trans_b=0 : a=f32[7,{m:127,128,129,257}] b=f32[7,{n:63,65,130}]",
            "matmul trans_a=1 trans_b=1 : a=f32[7,{m:127,128,129,257}] b=f32[{n:63,65,130},7]",
            "matmul trans_a={0,1} trans_b={0,1} : a=f32[{b:1,2,5},33,33] b=f32[{b},33,33]",
            "matmul trans_b={0,1} : a=f32[{2,5},3,64] b=f32[64,64] bias=f32[64]",
            "matmul trans_a=1 : a=f32[3,5,35] b=f32[5,19]",
            "matmul trans_a=1 trans_b=1 : a=f32[3,5,35] b=f32[19,5] c=f32[3,35,19]",
            "matmul act={gelu,gelu_erf,silu,relu,tanh} : a=f32[{m:1,65},{k:1,64}]"
            " b=f32[{k},{n:5,80}] bias=f32[{n}] c=f32[{m},{n}] +pre",
            "matmul trans_b=1 : a=f32[1,{k:64,768}] b=f32[{n:96,1000},{k}]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "matmul : a=f32[3,4] b=f32[5,6]",
            "matmul : a=f32[3] b=f32[3,4]",
            "matmul : a=f32[2,3,4] b=f32[3,4,5]",
            "matmul : a=f32[3,4] b=f32[4,5] bias=f32[4]",
            "matmul : a=f32[3,4] b=f32[4,5] c=f32[3,4]",
            "matmul : a=f32[3,4] b=f32[2,4,5]",
            "matmul : a=f32[3,4] b=f32[4,5] onto=f32[4,5]",
            "matmul : a=f32[3,4] b=f32[4,5] onto2=f32[3,5]",
            "matmul act=gelu : a=f32[3,4] b=f32[4,5] onto=f32[3,5]",
            "matmul : a=bf16[3,4] b=bf16[4,5] onto=f32[3,5]",
            NULL,
        },
    .fwd = {.each = 2e-6, .absolute = 1e-7},
    .bwd = {.each = 4e-6, .absolute = 2e-7},
    .why = "chains of k products within 1: errors grow as the root of k, times the size of"
           " the partial sums; the bound is safe up to k = 4097",
    .terms = terms,
    .no_gradient = no_gradient,
};
