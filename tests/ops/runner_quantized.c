/* Random quantized tensors. */
#include "quantized.h"

#include "numeric/panels.h"

#include <stdlib.h>
#include <string.h>

/* Where the 16-bit scales of a format lie in its blocks. */
static const struct {
    qn_dtype type;
    int at[2];
} halves[] = {{QN_Q8_0, {0, 0}}, {QN_Q4_0, {0, 0}},     {QN_Q4_1, {0, 2}},     {QN_Q5_0, {0, 0}},
              {QN_Q5_1, {0, 2}}, {QN_Q2_K, {80, 82}},   {QN_Q3_K, {108, 108}}, {QN_Q4_K, {0, 2}},
              {QN_Q5_K, {0, 2}}, {QN_Q6_K, {208, 208}}, {QN_IQ4_NL, {0, 0}},   {QN_IQ4_XS, {0, 0}}};

/* 2^-10 to 2^-6, either sign. */
static void put_half(test *t, uint8_t *at)
{
    uint16_t bits = (uint16_t)(random_pick(t, 5 << 10, (9 << 10) - 1) | random_pick(t, 0, 1) << 15);
    memcpy(at, &bits, 2);
}

bool fill_blocks(test *t, int in)
{
    host *h = &t->in[in];
    int bytes = 0;
    qn_dtype_block(h->desc.dtype, &bytes);
    for (int64_t i = 0; i < h->count; i++) {
        ((uint8_t *)h->raw)[i] = (uint8_t)random_pick(t, 0, 255);
        if (i % bytes == 1) ((uint8_t *)h->raw)[i] = (uint8_t)random_pick(t, 4 << 2, (7 << 2) - 1);
    }
    host_decode(h);
    return true;
}

bool fill_panels(test *t, int in)
{
    host *h = &t->in[in];
    qn_dtype type = h->desc.dtype;
    int bytes = 0, elements = qn_dtype_block(type, &bytes);
    const qn_shape *s = &h->desc.shape;
    int64_t rows = s->dim[s->rank - 2], cols = s->dim[s->rank - 1],
            stack = s->rank == 3 ? s->dim[0] : 1;
    int64_t blocks = stack * rows * cols / elements, panels = (rows + QN_PANEL - 1) / QN_PANEL;
    uint8_t *file = malloc((size_t)(blocks * bytes) + 1);
    for (int64_t i = 0; file && i < blocks * bytes; i++) file[i] = (uint8_t)random_pick(t, 0, 255);
    for (int64_t b = 0; file && b < blocks; b++) {
        if (type == QN_MXFP4) file[b * bytes] = (uint8_t)random_pick(t, 119, 124);
        for (size_t f = 0; f < sizeof halves / sizeof halves[0]; f++)
            for (int i = 0; halves[f].type == type && i < 2; i++)
                put_half(t, file + b * bytes + halves[f].at[i]);
    }
    for (int64_t m = 0; file && m < stack; m++)
        qn__panels_pack(type, file + m * (blocks / stack) * bytes, rows, cols, 0, panels,
                        (uint8_t *)h->raw + m * (int64_t)(h->bytes / (uint64_t)stack));
    host_decode(h);
    free(file);
    return true;
}

bool fill_q8x(test *t, int in)
{
    host *h = &t->in[in];
    for (int64_t b = 0; b < h->count / 48; b++) {
        uint8_t *at = (uint8_t *)h->raw + b * 48;
        bool zero = random_pick(t, 0, 9) == 0;
        float scale = zero ? 0.0f : (float)random_uniform(t, 0.001, 0.05);
        int32_t sum = 0, first = 0;
        for (int i = 0; i < 32; i++) {
            int q = zero ? 0 : (int)random_pick(t, -127, 127);
            at[16 + i] = (uint8_t)q;
            sum -= q;
            if (i < 16) first -= q;
        }
        float scaled = scale * (float)-sum;
        memcpy(at, &scale, 4);
        memcpy(at + 4, &scaled, 4);
        memcpy(at + 8, &sum, 4);
        memcpy(at + 12, &first, 4);
    }
    host_decode(h);
    return true;
}
