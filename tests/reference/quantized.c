#include "quantized.h"

#include <math.h>
#include <string.h>

/* The fields of a panel's blocks: where each lies in a row's block of the file, bytes of a unit,
 * how many units. */
typedef struct part {
    int at, unit, count;
} part;
typedef struct format {
    const char *name;
    int elements, bytes, group, has_plus;
    part parts[6];
} format;

static const format formats[] = {
    {"q8_0", 32, 34, 32, 0, {{2, 4, 8}, {0, 2, 1}}},
    {"q4_0", 32, 18, 32, 0, {{2, 4, 4}, {0, 2, 1}}},
    {"q4_1", 32, 20, 32, 1, {{4, 4, 4}, {0, 2, 1}, {2, 2, 1}}},
    {"q5_0", 32, 22, 32, 0, {{6, 4, 4}, {2, 4, 1}, {0, 2, 1}}},
    {"q5_1", 32, 24, 32, 1, {{8, 4, 4}, {4, 4, 1}, {0, 2, 1}, {2, 2, 1}}},
    {"iq4_nl", 32, 18, 32, 0, {{2, 4, 4}, {0, 2, 1}}},
    {"mxfp4", 32, 17, 32, 0, {{1, 4, 4}, {0, 1, 1}}},
    {"q2_K", 256, 84, 16, 1, {{16, 4, 16}, {0, 4, 4}, {80, 2, 1}, {82, 2, 1}}},
    {"q3_K", 256, 110, 16, 0, {{32, 4, 16}, {0, 4, 8}, {96, 4, 3}, {108, 2, 1}}},
    {"q4_K", 256, 144, 32, 1, {{16, 4, 32}, {4, 4, 3}, {0, 2, 1}, {2, 2, 1}}},
    {"q5_K", 256, 176, 32, 1, {{48, 4, 32}, {16, 4, 8}, {4, 4, 3}, {0, 2, 1}, {2, 2, 1}}},
    {"q6_K", 256, 210, 16, 0, {{0, 4, 32}, {128, 4, 16}, {192, 4, 4}, {208, 2, 1}}},
    {"iq4_xs", 256, 136, 32, 0, {{8, 4, 32}, {4, 4, 1}, {2, 2, 1}, {0, 2, 1}}},
};

static const format *format_of(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(formats[i].name, name) == 0) return &formats[i];
    return NULL;
}

/* A row's block as the file has it, but for the changes panels make. */
static void take_block(const ref_tensor *w, const format *f, int64_t row, int64_t block,
                       unsigned char *out)
{
    int64_t blocks = w->dim[1] / f->elements;
    const double *from = w->d + (row / 32 * blocks + block) * f->bytes * 32;
    for (const part *p = f->parts; p->count; p++) {
        for (int u = 0; u < p->count; u++)
            for (int i = 0; i < p->unit; i++)
                out[p->at + u * p->unit + i] =
                    (unsigned char)from[(u * 32 + row % 32) * p->unit + i];
        from += p->count * p->unit * 32;
    }
}

float ref_half_at(const unsigned char *b, int at)
{
    int bits = b[at] | b[at + 1] << 8, e = bits >> 10 & 31, m = bits & 1023;
    double v = e == 31 ? (m ? NAN : INFINITY) : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    return (float)(bits >> 15 ? -v : v);
}

static int nibble(const unsigned char *q, int e)
{
    return e < 16 ? q[e] & 15 : q[e - 16] >> 4;
}

static const signed char iq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                    1,    13,   25,  38,  53,  69,  89,  113};
static const signed char e2m1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* Formats of 32 elements; the fifth bit of element 4g + j is bit 8j + g of its word. */
static void simple(const format *f, const unsigned char *b, int e, ref_element *x)
{
    const char *n = f->name;
    int fifth = (b[f->parts[1].at + e % 4] >> (e / 4) & 1) << 4;
    x->scale = ref_half_at(b, 0);
    if (strcmp(n, "q8_0") == 0) x->value = (int)b[2 + e] - 128;
    else if (strcmp(n, "q4_0") == 0) x->value = nibble(b + 2, e) - 8;
    else if (strcmp(n, "iq4_nl") == 0) x->value = iq4[nibble(b + 2, e)];
    else if (strcmp(n, "q4_1") == 0) x->value = nibble(b + 4, e);
    else if (strcmp(n, "q5_0") == 0) x->value = (nibble(b + 6, e) | fifth) - 16;
    else if (strcmp(n, "q5_1") == 0) x->value = nibble(b + 8, e) | fifth;
    else x->value = e2m1[nibble(b + 1, e)];
    if (f->has_plus) x->plus = ref_half_at(b, 2);
    if (strcmp(n, "mxfp4") == 0) x->scale = (float)ldexp(1, b[0] - 128);
}

/* 6-bit scale and minimum of sub-block j, bytes s. */
static void six_bits(const unsigned char *s, int j, int *scale, int *minimum)
{
    *scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
    *minimum = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | s[j] >> 6 << 4;
}

static void with_minima(const unsigned char *b, int quants, int fifths, int e, ref_element *x)
{
    int j = e / 32, l = e % 32, scale, minimum, q = b[quants + j / 2 * 32 + l];
    x->value = j % 2 ? q >> 4 : q & 15;
    if (fifths) x->value |= (b[fifths + l] >> j & 1) << 4;
    six_bits(b + 4, j, &scale, &minimum);
    x->scale = ref_half_at(b, 0) * (float)scale;
    x->plus = -(ref_half_at(b, 2) * (float)minimum);
}

static void large(const format *f, const unsigned char *b, int e, ref_element *x)
{
    int h = e / 128, g = e / 32 % 4, l = e % 32, j = e / 16;
    if (strcmp(f->name, "q4_K") == 0) {
        with_minima(b, 16, 0, e, x);
    } else if (strcmp(f->name, "q5_K") == 0) {
        with_minima(b, 48, 16, e, x);
    } else if (strcmp(f->name, "q6_K") == 0) {
        int low = b[64 * h + 32 * (g & 1) + l], high = b[128 + 32 * h + l] >> (2 * g) & 3;
        x->value = ((g < 2 ? low & 15 : low >> 4) | high << 4) - 32;
        x->scale = ref_half_at(b, 208) * (float)(signed char)b[192 + j];
    } else if (strcmp(f->name, "q2_K") == 0) {
        x->value = b[16 + 32 * h + l] >> (2 * g) & 3;
        x->scale = ref_half_at(b, 80) * (float)(b[j] & 15);
        x->plus = -(ref_half_at(b, 82) * (float)(b[j] >> 4));
    } else if (strcmp(f->name, "q3_K") == 0) {
        const unsigned char *s = b + 96;
        int scale = (j < 8 ? s[j] & 15 : s[j - 8] >> 4) | (s[8 + j % 4] >> (2 * (j / 4)) & 3) << 4;
        x->value = (b[32 + 32 * h + l] >> (2 * g) & 3) - (b[l] >> (4 * h + g) & 1 ? 0 : 4);
        x->scale = ref_half_at(b, 108) * (float)(scale - 32);
    } else { /* iq4_xs */
        int i = e / 32,
            scale = (b[4 + i / 2] >> (4 * (i % 2)) & 15) | ((b[2] | b[3] << 8) >> (2 * i) & 3) << 4;
        x->value = iq4[nibble(b + 8 + 16 * i, l)];
        x->scale = ref_half_at(b, 0) * (float)(scale - 32);
    }
}

ref_element ref_quantized(const ref_tensor *w, int64_t row, int64_t col)
{
    unsigned char block[256] = {0};
    const format *f = format_of(w->type);
    ref_element x = {.group = f->group, .has_plus = f->has_plus};
    take_block(w, f, row, col / f->elements, block);
    if (f->elements == 32) simple(f, block, (int)(col % 32), &x);
    else large(f, block, (int)(col % 256), &x);
    return x;
}

int64_t ref_panels_bytes(const ref_tensor *w)
{
    const format *f = format_of(w->type);
    int64_t rows = w->dim[w->rank - 2], cols = w->dim[w->rank - 1];
    return (rows + 31) / 32 * 32 * (cols / f->elements) * f->bytes;
}
