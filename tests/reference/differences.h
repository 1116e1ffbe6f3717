/* The machinery of reference_grad.c: random cases, the loss, and the comparison of a backward with
 * central differences of its forward. For one test program; not part of the reference library.
 *
 * loss = sum of w_i out_i with random weights w, so dout = w; each element of each differentiable
 * input moves by +-h and +-2h. A case is built with input(), integers(), spread(), output() and
 * now.attr, then judged and ended by check(). */
#ifndef QN_TESTS_REFERENCE_DIFFERENCES_H
#define QN_TESTS_REFERENCE_DIFFERENCES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference.h"

enum { NAME_BYTES = 64 };
static const double step_default = 0x1p-11;

typedef struct op {
    const char *name, *inputs, *outputs, *attributes;
    ref_fn *fwd, *bwd;
    void (*cases)(void);
} op;

/* Copies word `index` of a list split at spaces (up to '|') into word; false: there is none. */
static bool list_word(const char *list, int index, char word[NAME_BYTES])
{
    for (;; index--) {
        list += strspn(list, " ");
        size_t length = strcspn(list, " ");
        if (length == 0 || *list == '|') return false;
        if (index == 0) {
            assert_true(length < NAME_BYTES);
            memcpy(word, list, length);
            word[length] = '\0';
            return true;
        }
        list += length;
    }
}

static bool differentiable(const char *input)
{
    return !strpbrk(input, "#~!");
}

/* ---- Random numbers: splitmix64 (Steele et al. 2014) ---- */

static uint64_t seed, state;

static uint64_t random_bits(void)
{
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* Integer in [low, high]. */
static int64_t pick(int64_t low, int64_t high)
{
    return low + (int64_t)(random_bits() % (uint64_t)(high - low + 1));
}

static double uniform(double low, double high)
{
    return low + (high - low) * (double)(random_bits() >> 11) * 0x1p-53;
}

/* ---- One case: a call, its tensors and the weights of the loss ---- */

typedef struct dims {
    int rank;
    int64_t dim[REF_RANK];
} dims;
#define DIMS(...) ((dims){(int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {__VA_ARGS__}})

static struct {
    const op *op;
    double attr[REF_ATTR];
    ref_tensor in[REF_IN], out[REF_OUT], weight[REF_OUT], din[REF_IN];
    bool has_in[REF_IN], has_out[REF_OUT];
    double step; /* h */
} now;

/* What the cases of one op have tried so far. */
static struct {
    int cases;
    bool absent_in[REF_IN], absent_out[REF_OUT];
    int64_t elements[REF_IN];   /* compared with a difference */
    double values[REF_ATTR][8]; /* distinct */
    int value_count[REF_ATTR];
} tried;

static int64_t count(const ref_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++) n *= t->dim[i];
    return n;
}

static void tensor_make(ref_tensor *t, dims shape)
{
    *t = (ref_tensor){.rank = shape.rank};
    memcpy(t->dim, shape.dim, sizeof t->dim);
    t->d = calloc((size_t)count(t) + 1, sizeof(double));
    assert_non_null(t->d);
}

static void case_end(void)
{
    for (int i = 0; i < REF_IN; i++) {
        free(now.in[i].d);
        free(now.din[i].d);
    }
    for (int i = 0; i < REF_OUT; i++) {
        free(now.out[i].d);
        free(now.weight[i].d);
    }
    now = (__typeof__(now)){.op = now.op, .step = step_default};
}

/* Inputs are away from 0, where relu has its corner. */
static double *input(int slot, dims shape)
{
    tensor_make(&now.in[slot], shape);
    now.has_in[slot] = true;
    for (int64_t i = 0; i < count(&now.in[slot]); i++)
        now.in[slot].d[i] = uniform(0.02, 1.5) * (pick(0, 1) ? 1 : -1);
    return now.in[slot].d;
}

/* An input in random order, its elements at least `gap` apart and gap/2 away from 0. */
static void spread(int slot, dims shape, double gap)
{
    double *d = input(slot, shape);
    int64_t n = count(&now.in[slot]);
    for (int64_t i = 0; i < n; i++) {
        int64_t other = pick(0, i);
        d[i] = d[other];
        d[other] = gap * ((double)(i - n / 2) + 0.5);
    }
}

/* Integers in [low, high]. */
static double *integers(int slot, dims shape, int64_t low, int64_t high)
{
    double *d = input(slot, shape);
    for (int64_t i = 0; i < count(&now.in[slot]); i++) d[i] = (double)pick(low, high);
    return d;
}

static void output(int slot, dims shape)
{
    tensor_make(&now.out[slot], shape);
    tensor_make(&now.weight[slot], shape);
    now.has_out[slot] = true;
    for (int64_t i = 0; i < count(&now.out[slot]); i++) now.weight[slot].d[i] = uniform(-1, 1);
}

/* ---- The comparison ---- */

static double loss(void)
{
    ref_call call = {.attr = {0}};
    double sum = 0;
    memcpy(call.attr, now.attr, sizeof call.attr);
    for (int i = 0; i < REF_IN; i++) call.in[i] = now.has_in[i] ? &now.in[i] : NULL;
    for (int i = 0; i < REF_OUT; i++) call.out[i] = now.has_out[i] ? &now.out[i] : NULL;
    now.op->fwd(&call);
    for (int o = 0; o < REF_OUT; o++)
        for (int64_t i = 0; now.has_out[o] && i < count(&now.out[o]); i++)
            sum += now.weight[o].d[i] * now.out[o].d[i];
    return sum;
}

/* Fills now.din for input `only`, or for all that have a gradient where only is -1. The old
 * contents are NaN, so that a backward that adds to them shows. */
static void backward(int only)
{
    ref_call call = {.attr = {0}};
    char name[NAME_BYTES];
    memcpy(call.attr, now.attr, sizeof call.attr);
    for (int i = 0; i < REF_IN; i++) {
        bool wanted = only < 0 || only == i;
        call.in[i] = now.has_in[i] ? &now.in[i] : NULL;
        if (!wanted || !now.has_in[i]) continue;
        if (!list_word(now.op->inputs, i, name) || !differentiable(name)) continue;
        dims shape = {.rank = now.in[i].rank};
        memcpy(shape.dim, now.in[i].dim, sizeof shape.dim);
        free(now.din[i].d);
        tensor_make(&now.din[i], shape);
        for (int64_t e = 0; e < count(&now.din[i]); e++) now.din[i].d[e] = NAN;
        call.din[i] = &now.din[i];
    }
    for (int i = 0; i < REF_OUT; i++) call.dout[i] = now.has_out[i] ? &now.weight[i] : NULL;
    now.op->bwd(&call);
}

/* Appends to line, which holds `bytes`; what does not fit is cut. */
__attribute__((format(printf, 3, 4))) static void append(char *line, size_t bytes,
                                                         const char *format, ...)
{
    size_t used = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + used, bytes - used, format, arguments);
    va_end(arguments);
}

/* As in: matmul seed=1 trans_a=0 trans_b=1 act=2 a=2x3 b=4x3. */
static void describe(char *line, size_t bytes)
{
    char name[NAME_BYTES];
    *line = '\0';
    append(line, bytes, "%s seed=%llu", now.op->name, (unsigned long long)seed);
    for (int i = 0; list_word(now.op->attributes, i, name); i++)
        append(line, bytes, " %.*s=%g", (int)strcspn(name, ":"), name, now.attr[i]);
    for (int i = 0; list_word(now.op->inputs, i, name); i++) {
        if (!now.has_in[i]) continue;
        append(line, bytes, " %s=", name + strspn(name, "?#~!"));
        for (int j = 0; j < now.in[i].rank; j++)
            append(line, bytes, j ? "x%lld" : "%lld", (long long)now.in[i].dim[j]);
    }
}

/* Fourth-order central difference of the loss. */
static double difference(double *x)
{
    double middle = *x, h = now.step, value[4];
    const double moves[4] = {-2, -1, 1, 2};
    for (int i = 0; i < 4; i++) {
        *x = middle + moves[i] * h;
        value[i] = loss();
    }
    *x = middle;
    return (8 * (value[2] - value[1]) - (value[3] - value[0])) / (12 * h);
}

/* No gradient coming in: none goes out. */
static void check_silence(const char *line)
{
    bool has_out[REF_OUT];
    memcpy(has_out, now.has_out, sizeof has_out);
    memset(now.has_out, 0, sizeof now.has_out);
    backward(-1);
    memcpy(now.has_out, has_out, sizeof has_out);
    for (int i = 0; i < REF_IN; i++)
        for (int64_t e = 0; now.din[i].d && e < count(&now.din[i]); e++)
            if (now.din[i].d[e] != 0) fail_msg("%s: a gradient from nothing", line);
}

static void note_attributes(void)
{
    for (int a = 0; a < REF_ATTR; a++) {
        int n = tried.value_count[a], i = 0;
        while (i < n && tried.values[a][i] != now.attr[a]) i++;
        if (i == n && n < 8) tried.values[a][tried.value_count[a]++] = now.attr[a];
    }
}

/* Compares every gradient of the case, then ends it. */
static void check(void)
{
    char line[512], name[NAME_BYTES];
    describe(line, sizeof line);
    check_silence(line);
    backward(-1);
    ref_tensor all[REF_IN];
    memcpy(all, now.din, sizeof all);
    memset(now.din, 0, sizeof now.din);
    for (int i = 0; list_word(now.op->inputs, i, name); i++) {
        tried.absent_in[i] |= !now.has_in[i];
        if (!now.has_in[i] || !differentiable(name)) continue;
        backward(i);
        for (int64_t e = 0; e < count(&now.in[i]); e++, tried.elements[i]++) {
            double got = all[i].d[e], want = difference(&now.in[i].d[e]);
            if (memcmp(&got, &now.din[i].d[e], sizeof got) != 0)
                fail_msg("%s: d%s[%lld] differs when it alone is asked for", line, name,
                         (long long)e);
            if (!(fabs(got - want) <= 1e-6 * fabs(want) + 1e-8))
                fail_msg("%s: d%s[%lld] is %.12g, the difference %.12g", line, name, (long long)e,
                         got, want);
        }
    }
    for (int i = 0; list_word(now.op->outputs, i, name); i++)
        tried.absent_out[i] |= !now.has_out[i];
    for (int i = 0; i < REF_IN; i++) free(all[i].d);
    note_attributes();
    tried.cases++;
    case_end();
}

/* What the cases had to try: each word of an attribute, two values of a number, each optional
 * tensor present and absent, some element of each differentiable input. */
static void check_coverage(const op *row)
{
    char name[NAME_BYTES];
    assert_true(tried.cases > 0);
    for (int i = 0; list_word(row->inputs, i, name); i++) {
        if (!differentiable(name)) continue;
        if (tried.elements[i] == 0) fail_msg("%s: no case has input %s", row->name, name);
        if (*name == '?' && !tried.absent_in[i])
            fail_msg("%s: no case lacks input %s", row->name, name);
    }
    for (int i = 0; list_word(row->outputs, i, name); i++)
        if (*name == '?' && !tried.absent_out[i])
            fail_msg("%s: no case lacks output %s", row->name, name);
    for (int i = 0; list_word(row->attributes, i, name); i++) {
        if (strncmp(name, "out:", 4) == 0) continue; /* a type of storage: not mathematics */
        int wanted = strstr(name, ":e=") ? 1 : 2;
        for (const char *c = name; *c; c++) wanted += *c == '/';
        if (tried.value_count[i] < wanted)
            fail_msg("%s: %d of %d values of %s tried", row->name, tried.value_count[i], wanted,
                     name);
    }
}

static void run(void **row)
{
    memset(&tried, 0, sizeof tried);
    now.op = *row;
    case_end();
    state = seed;
    now.op->cases();
    check_coverage(now.op);
}

#endif
