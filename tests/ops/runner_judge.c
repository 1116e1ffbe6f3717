/* Comparisons, and how a failure speaks. */
#include "runner.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void test_fail(test *t, const char *format, ...)
{
    char what[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    for (char *c = what; *c; c++)
        if (*c == '\n') *c = ' ';
    printf("FAILED op_runner --case \"%s\"%s%s --seed %llu: %s\n", t->line,
           t->variant ? " --variant " : "", t->variant ? t->variant : "",
           (unsigned long long)t->options->seed, what);
    fflush(stdout);
    t->failed = true;
    t->options->failures++;
}

bool judge_close(test *t, const char *what, const char *name, const host *got, const double *want,
                 tolerance within)
{
    double largest = 0, terms = t->cases->terms ? t->cases->terms(t) : 1;
    for (int64_t i = 0; i < got->count; i++)
        if (isfinite(want[i]) && fabs(want[i]) > largest) largest = fabs(want[i]);
    /* An output of 16 bits is rounded, and may be made from rounded parts of its own size. */
    double unit = got->desc.dtype == QN_BF16 ? 0x1p-8 : got->desc.dtype == QN_F16 ? 0x1p-11 : 0;
    within.each += 2 * unit;
    within.largest += unit;
    if (got->desc.dtype == QN_F16) within.absolute += 0x1p-23; /* denormals */
    if (t->options->loose && got->desc.dtype == QN_F32)
        within.largest += 1e-6; /* fma rounds twice, where the reference rounds once */
    for (int64_t i = 0; i < got->count; i++) {
        double bound =
            within.each * fabs(want[i]) + within.largest * largest + within.absolute * terms;
        if (got->d[i] == want[i] || fabs(got->d[i] - want[i]) <= bound) continue;
        test_fail(t, "%s %s[%lld] is %.9g, not %.9g (%.3g away, %.3g allowed)", what, name,
                  (long long)i, got->d[i], want[i], fabs(got->d[i] - want[i]), bound);
        return false;
    }
    return true;
}

bool judge_same(test *t, const char *what, const char *name, const host *got, const host *want)
{
    bool block = qn_dtype_is_block(got->desc.dtype);
    uint64_t size = block ? 1 : (uint64_t)qn_dtype_bytes(got->desc.dtype);
    if (got->there != want->there || got->bytes != want->bytes) {
        test_fail(t, "%s: %s has another size", what, name);
        return false;
    }
    for (int64_t i = 0; i < got->count; i++) {
        const char *a = (const char *)got->raw + (uint64_t)i * size;
        const char *b = (const char *)want->raw + (uint64_t)i * size;
        if (memcmp(a, b, size) == 0) continue;
        test_fail(t, "%s: %s[%lld] is %a, not the same bits as %a", what, name, (long long)i,
                  got->d[i], want->d[i]);
        return false;
    }
    return true;
}

bool judge_results_same(test *t, const char *what, const result *got, const result *want)
{
    char name[32];
    for (int o = 0; o < t->row->out_count; o++)
        if (!judge_same(t, what, t->row->out[o].name, &got->out[o], &want->out[o])) return false;
    for (int i = 0; i < t->row->in_count; i++) {
        snprintf(name, sizeof name, "d%s", t->row->in[i].name);
        if (got->din[i].there && !judge_same(t, what, name, &got->din[i], &want->din[i]))
            return false;
    }
    return true;
}
