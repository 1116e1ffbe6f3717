#include "numeric/panels.h"

#include <string.h>

/* A run of a row's block, in units; in the order of the block-panel. */
typedef struct field {
    uint8_t from; /* byte of the block */
    uint8_t unit, count;
    enum { AS_IS, SIGN_TURNED, SPREAD } change;
} field;

enum { FIELDS = 5 };
#define WORDS(at, n)                                                                               \
    {                                                                                              \
        at, 4, n, AS_IS                                                                            \
    }
#define HALF(at)                                                                                   \
    {                                                                                              \
        at, 2, 1, AS_IS                                                                            \
    }

/* ggml-common.h gives each block's own order. Units of words begin at even bytes at least; they are
 * copied byte by byte. */
static const field fields[QN_DTYPE_COUNT][FIELDS] = {
    [QN_Q8_0] = {{2, 4, 8, SIGN_TURNED}, HALF(0)},
    [QN_Q4_0] = {WORDS(2, 4), HALF(0)},
    [QN_IQ4_NL] = {WORDS(2, 4), HALF(0)},
    [QN_Q4_1] = {WORDS(4, 4), HALF(0), HALF(2)},
    [QN_Q5_0] = {WORDS(6, 4), {2, 4, 1, SPREAD}, HALF(0)},
    [QN_Q5_1] = {WORDS(8, 4), {4, 4, 1, SPREAD}, HALF(0), HALF(2)},
    [QN_MXFP4] = {WORDS(1, 4), {0, 1, 1, AS_IS}},
    /* quants, scales, d, dmin */
    [QN_Q2_K] = {WORDS(16, 16), WORDS(0, 4), HALF(80), HALF(82)},
    /* quants, third bits, scales, d */
    [QN_Q3_K] = {WORDS(32, 16), WORDS(0, 8), WORDS(96, 3), HALF(108)},
    /* quants, scales and minima, d, dmin */
    [QN_Q4_K] = {WORDS(16, 32), WORDS(4, 3), HALF(0), HALF(2)},
    /* the same, fifth bits after the quants */
    [QN_Q5_K] = {WORDS(48, 32), WORDS(16, 8), WORDS(4, 3), HALF(0), HALF(2)},
    /* low four bits, high two, scales, d */
    [QN_Q6_K] = {WORDS(0, 32), WORDS(128, 16), WORDS(192, 4), HALF(208)},
    /* quants, low bits of the scales, their high bits, d */
    [QN_IQ4_XS] = {WORDS(8, 32), WORDS(4, 1), HALF(2), HALF(0)},
};

bool qn__has_panels(qn_dtype type)
{
    return (unsigned)type < QN_DTYPE_COUNT && fields[type][0].count > 0;
}

/* Bit e = 4g + j to bit 8j + g. */
static uint32_t spread(uint32_t bits)
{
    uint32_t word = 0;
    for (int e = 0; e < 32; e++) word |= (bits >> e & 1u) << (8 * (e % 4) + e / 4);
    return word;
}

static void put_words(const field *f, const uint8_t *from, int row, uint8_t *to)
{
    for (int u = 0; u < f->count; u++) {
        uint32_t word;
        memcpy(&word, from + 4 * u, 4);
        if (f->change == SIGN_TURNED) word ^= 0x80808080u;
        if (f->change == SPREAD) word = spread(word);
        memcpy(to + 4 * (u * QN_PANEL + row), &word, 4);
    }
}

static void put_block(qn_dtype type, const uint8_t *block, int row, uint8_t *panel)
{
    for (const field *f = fields[type]; f < fields[type] + FIELDS && f->count > 0; f++) {
        if (f->unit == 4) put_words(f, block + f->from, row, panel);
        else memcpy(panel + f->unit * row, block + f->from, f->unit);
        panel += f->unit * f->count * QN_PANEL;
    }
}

void qn__panels_pack(qn_dtype type, const void *blocks, int64_t rows, int64_t cols, int64_t first,
                     int64_t last, void *panels)
{
    int bytes = 0, elements = qn_dtype_block(type, &bytes);
    int64_t count = cols / elements, panel_bytes = count * bytes * QN_PANEL;
    const uint8_t *in = blocks;
    for (int64_t p = first; p < last; p++) {
        uint8_t *out = (uint8_t *)panels + p * panel_bytes;
        int64_t here = rows - p * QN_PANEL < QN_PANEL ? rows - p * QN_PANEL : QN_PANEL;
        if (here < QN_PANEL) memset(out, 0, (size_t)panel_bytes);
        for (int64_t b = 0; b < count; b++, out += bytes * QN_PANEL)
            for (int64_t r = 0; r < here; r++)
                put_block(type, in + ((p * QN_PANEL + r) * count + b) * bytes, (int)r, out);
    }
}
