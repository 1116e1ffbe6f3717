/* Numbers: random, rounded to the tensor's type, and what the reference makes of them. */
#include "runner.h"

#include "base/hash.h"
#include "numeric/half.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- random: splitmix64 (Steele et al. 2014) ---- */

static uint64_t random_bits(test *t)
{
    uint64_t z = t->random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

double random_uniform(test *t, double low, double high)
{
    return low + (high - low) * (double)(random_bits(t) >> 11) * 0x1p-53;
}

int64_t random_pick(test *t, int64_t low, int64_t high)
{
    return low + (int64_t)(random_bits(t) % (uint64_t)(high - low + 1));
}

/* ---- tensors on the host ---- */

static void *allocate(size_t bytes)
{
    void *p = calloc(1, bytes ? bytes : 1);
    if (!p) {
        fprintf(stderr, "op_runner: out of memory\n");
        exit(71);
    }
    return p;
}

void host_make(host *h, const qn_desc *desc)
{
    *h = (host){.there = true, .desc = *desc, .bytes = qn__desc_bytes(desc)};
    bool block = qn_dtype_is_block(desc->dtype);
    h->count = (int64_t)(h->bytes / (block ? 1 : (uint64_t)qn_dtype_bytes(desc->dtype)));
    h->raw = allocate(h->bytes);
    h->d = allocate((size_t)h->count * sizeof *h->d);
}

void host_free(host *h)
{
    free(h->raw);
    free(h->d);
    *h = (host){0};
}

void host_decode(host *h)
{
    for (int64_t i = 0; i < h->count; i++) {
        switch (h->desc.dtype) {
        case QN_F32: h->d[i] = ((float *)h->raw)[i]; break;
        case QN_F16: h->d[i] = qn__f16_to_f32(((uint16_t *)h->raw)[i]); break;
        case QN_BF16: h->d[i] = qn__bf16_to_f32(((uint16_t *)h->raw)[i]); break;
        case QN_I32: h->d[i] = ((int32_t *)h->raw)[i]; break;
        default: h->d[i] = ((uint8_t *)h->raw)[i]; break;
        }
    }
}

void host_round(host *h)
{
    for (int64_t i = 0; i < h->count; i++) {
        switch (h->desc.dtype) {
        case QN_F32: ((float *)h->raw)[i] = (float)h->d[i]; break;
        case QN_F16: ((uint16_t *)h->raw)[i] = qn__f32_to_f16((float)h->d[i]); break;
        case QN_BF16: ((uint16_t *)h->raw)[i] = qn__f32_to_bf16((float)h->d[i]); break;
        case QN_I32: ((int32_t *)h->raw)[i] = (int32_t)h->d[i]; break;
        default: ((uint8_t *)h->raw)[i] = (uint8_t)h->d[i]; break;
        }
    }
    host_decode(h);
}

/* ---- fillers ---- */

int64_t dim_of(const test *t, int in, int axis)
{
    return t->call.in[in].desc.shape.dim[axis];
}

bool fill_uniform(test *t, int in, double low, double high)
{
    for (int64_t i = 0; i < t->in[in].count; i++) t->in[in].d[i] = random_uniform(t, low, high);
    return true;
}

bool fill_integers(test *t, int in, int64_t low, int64_t high)
{
    for (int64_t i = 0; i < t->in[in].count; i++)
        t->in[in].d[i] = (double)random_pick(t, low, high);
    return true;
}

void shuffle(test *t, int in)
{
    double *d = t->in[in].d;
    for (int64_t i = 0; i < t->in[in].count; i++) {
        int64_t other = random_pick(t, 0, i);
        double kept = d[i];
        d[i] = d[other];
        d[other] = kept;
    }
}

bool fill_activation(test *t, int in)
{
    for (int64_t i = 0; i < t->in[in].count; i++) {
        int64_t kind = random_pick(t, 0, 15);
        double wide = kind < 10 ? 3 : kind < 14 ? 12 : kind < 15 ? 100 : 0;
        t->in[in].d[i] = random_uniform(t, -wide, wide);
    }
    return true;
}

bool fill_values(test *t, int in, const double *values, int count)
{
    for (int64_t i = 0; i < t->in[in].count; i++) t->in[in].d[i] = values[i % count];
    return true;
}

void data_spoil(test *t)
{
    static const double odd[] = {
        NAN,        INFINITY, -INFINITY, 0x1.fffffep127, -0x1.fffffep127, 0x1p-149, -0x1p-126,
        0x1.8p-130, 0.0,      -0.0};
    for (int i = 0; i < t->row->in_count; i++) {
        host *h = &t->in[i];
        if (!h->there || h->desc.dtype == QN_I32 || h->desc.dtype == QN_U8 ||
            qn_dtype_is_block(h->desc.dtype) || strcmp(t->row->in[i].name, "hyper") == 0)
            continue;
        for (int64_t e = 0; e < h->count; e++)
            if (random_pick(t, 0, 3) == 0) h->d[e] = odd[random_pick(t, 0, 9)];
        host_round(h);
    }
}

/* ---- the reference ---- */

#define HAS_KERNEL(stem) ref_##stem##_bwd
#define HAS_GRAPH(stem) ref_##stem##_bwd
#define HAS_NONE(stem) NULL
#define QN_OP(stem, NAME, in, out, attrs, gradient, recompute)                                     \
    {ref_##stem##_fwd, HAS_##gradient(stem)},
static const struct {
    ref_fn *fwd, *bwd;
} references[] = {
#include "ops/op_list.def"
};
#undef QN_OP

static ref_tensor *as_ref(ref_tensor *r, const host *h)
{
    if (!h->there) return NULL;
    *r = (ref_tensor){.rank = h->desc.shape.rank, .d = h->d, .type = qn_dtype_name(h->desc.dtype)};
    memcpy(r->dim, h->desc.shape.dim, sizeof r->dim);
    return r;
}

static void consult(test *t)
{
    ref_tensor in[QN_OP_MAX_IN], out[QN_OP_MAX_OUT], dout[QN_OP_MAX_OUT], din[QN_OP_MAX_IN];
    ref_call call = {0};
    for (int i = 0; i < t->row->attr_count; i++)
        call.attr[i] =
            t->row->attr[i].kind == 'f' ? (float)t->call.attr[i].f : (double)t->call.attr[i].i;
    for (int i = 0; i < t->row->in_count; i++) {
        call.in[i] = as_ref(&in[i], &t->in[i]);
        call.din[i] = as_ref(&din[i], &t->want_din[i]);
    }
    for (int o = 0; o < t->row->out_count; o++) {
        if (t->row->out[o].saved) continue;
        call.out[o] = as_ref(&out[o], &t->want_out[o]);
        call.dout[o] = as_ref(&dout[o], &t->dout[o]);
    }
    references[t->row->id].fwd(&call);
    if (t->differentiable) references[t->row->id].bwd(&call);
}

static void choose_gradients(test *t)
{
    t->differentiable = 0;
    if (t->row->gradient == QN_GRAD_NONE) return;
    if (t->cases->no_gradient && t->cases->no_gradient(t)) return;
    if (qn_dtype_is_block(t->call.out[0].desc.dtype)) return;
    for (int i = 0; i < t->row->in_count; i++) {
        const qn_op_slot *slot = &t->row->in[i];
        bool whole = t->call.in[i].desc.dtype == QN_I32 || t->call.in[i].desc.dtype == QN_U8;
        if (t->call.in[i].there && !whole && !slot->integer && !slot->constant && !slot->in_place)
            t->differentiable |= 1u << i;
    }
}

static void fill_default(test *t, int in)
{
    if (t->call.in[in].desc.dtype == QN_I32) fill_integers(t, in, INT32_MIN, INT32_MAX);
    else if (t->call.in[in].desc.dtype == QN_U8) fill_integers(t, in, 0, 255);
    else fill_uniform(t, in, -1, 1);
}

void data_make(test *t, bool judged)
{
    t->random = qn__hash_seeded(t->line, strlen(t->line), t->options->seed);
    for (int i = 0; i < t->row->in_count; i++) {
        if (!t->call.in[i].there) continue;
        host_make(&t->in[i], &t->call.in[i].desc);
        if (!t->cases->fill || !t->cases->fill(t, i)) fill_default(t, i);
        host_round(&t->in[i]);
    }
    choose_gradients(t);
    for (int i = 0; i < t->row->in_count; i++)
        if (t->differentiable >> i & 1) host_make(&t->want_din[i], &t->call.in[i].desc);
    for (int o = 0; o < t->row->out_count; o++) {
        if (!t->call.out[o].there || t->row->out[o].saved) continue;
        host_make(&t->want_out[o], &t->call.out[o].desc);
        if (!t->differentiable) continue;
        host_make(&t->dout[o], &t->call.out[o].desc);
        for (int64_t e = 0; e < t->dout[o].count; e++) t->dout[o].d[e] = random_uniform(t, -1, 1);
        host_round(&t->dout[o]);
    }
    if (judged) consult(t);
}

void result_free(result *r)
{
    for (int i = 0; i < QN_OP_MAX_IN; i++) host_free(&r->din[i]);
    for (int i = 0; i < QN_OP_MAX_OUT; i++) host_free(&r->out[i]);
}

void data_free(test *t)
{
    for (int i = 0; i < QN_OP_MAX_IN; i++) {
        host_free(&t->in[i]);
        host_free(&t->want_din[i]);
    }
    for (int i = 0; i < QN_OP_MAX_OUT; i++) {
        host_free(&t->dout[i]);
        host_free(&t->want_out[i]);
    }
}
