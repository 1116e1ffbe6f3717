/* Element counts, zeroed scratch and the activation formulas that several references share. */
#ifndef QN_TESTS_REFERENCE_HELPERS_H
#define QN_TESTS_REFERENCE_HELPERS_H

#include "reference.h"

#include <math.h>
#include <stdlib.h>

/* Product of dimensions from .. to - 1. */
static inline int64_t ref_span(const ref_tensor *t, int from, int to)
{
    int64_t count = 1;
    for (int i = from; i < to; i++) count *= t->dim[i];
    return count;
}

static inline int64_t ref_count(const ref_tensor *t)
{
    return ref_span(t, 0, t->rank);
}

/* Length of the last dimension, and how many such rows there are. */
static inline int64_t ref_cols(const ref_tensor *t)
{
    return t->dim[t->rank - 1];
}

static inline int64_t ref_rows(const ref_tensor *t)
{
    return ref_span(t, 0, t->rank - 1);
}

static inline void ref_zero(ref_tensor *t)
{
    for (int64_t i = 0; i < ref_count(t); i++) t->d[i] = 0;
}

/* Zeroed; the caller frees. A test that is out of memory has nothing left to say. */
static inline double *ref_doubles(int64_t count)
{
    double *d = calloc((size_t)(count > 0 ? count : 1), sizeof *d);
    if (!d) abort();
    return d;
}

/* To the nearest of float (0), IEEE half (1) or bfloat16 (2), denormals kept, beyond them infinity;
 * cast.c. */
double ref_rounded(double x, int type);
/* Its number of "f32", "f16" or "bf16". */
int ref_float_type(const char *name);

/* In the order of the words of matmul's act. */
enum { REF_NONE, REF_GELU, REF_GELU_ERF, REF_SILU, REF_RELU, REF_TANH };

static inline double ref_act(int act, double x)
{
    switch (act) {
    case REF_GELU: return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case REF_GELU_ERF: return 0.5 * x * (1 + erf(x / sqrt(2)));
    case REF_SILU: return x / (1 + exp(-x));
    case REF_RELU: return x > 0 ? x : 0;
    case REF_TANH: return tanh(x);
    default: return x;
    }
}

/* d act / d x; relu: 0 at 0. */
static inline double ref_act_slope(int act, double x)
{
    double t, s;
    switch (act) {
    case REF_GELU:
        t = tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x));
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
    case REF_GELU_ERF: return 0.5 * (1 + erf(x / sqrt(2))) + x * exp(-0.5 * x * x) / sqrt(2 * M_PI);
    case REF_SILU: s = 1 / (1 + exp(-x)); return s + x * s * (1 - s);
    case REF_RELU: return x > 0 ? 1 : 0;
    case REF_TANH: t = tanh(x); return 1 - t * t;
    default: return 1;
    }
}

/* y = act(x) and dx = dy * slope(x), element by element: the whole of gelu, silu, relu and tanh. */
static inline void ref_act_fwd(const ref_call *call, int act)
{
    const ref_tensor *x = call->in[0];
    for (int64_t i = 0; i < ref_count(x); i++) call->out[0]->d[i] = ref_act(act, x->d[i]);
}

static inline void ref_act_bwd(const ref_call *call, int act)
{
    const ref_tensor *x = call->in[0], *dy = call->dout[0];
    ref_tensor *dx = call->din[0];
    if (!dx) return;
    for (int64_t i = 0; i < ref_count(x); i++)
        dx->d[i] = dy ? dy->d[i] * ref_act_slope(act, x->d[i]) : 0;
}

#endif
