/* An op that fuses others gives their bits: matmul with bias and act, swiglu, what is then
 * quantized. */
#include "runner.h"

#include <stdio.h>
#include <string.h>

/* Runs one of the ops that are replaced on n inputs, in its default variant or in `variant`. */
static bool part(test *t, const char *line, const char *variant, const host *const *in, int n,
                 host *out)
{
    test one = {.options = t->options, .cases = t->cases, .variant = variant};
    qn_op_id id;
    result r;
    memcpy(one.line, t->line, sizeof one.line);
    qn_status status = line_parse(line, &id, &one.call);
    for (int i = 0; status == QN_OK && i < n; i++) {
        one.in[i] = in[i] ? *in[i] : (host){0};
        one.call.in[i].there = one.in[i].there;
        one.call.in[i].desc = one.in[i].desc;
    }
    if (status == QN_OK) status = qn__call_shape(&one.call);
    if (status != QN_OK) {
        test_fail(t, "fused: %s: %s", line, qn_last_error());
        return false;
    }
    one.row = qn__op_row(id);
    if (!run_forward(&one, &(manner){.over = NO_INPUT}, &r)) return false;
    *out = r.out[0];
    r.out[0] = (host){0};
    result_free(&r);
    return true;
}

/* Replaces *value by what the op makes of it. */
static bool apply(test *t, const char *line, const host *other, host *value)
{
    const host *in[] = {value, other};
    host next;
    if (!part(t, line, NULL, in, other ? 2 : 1, &next)) return false;
    host_free(value);
    *value = next;
    return true;
}

static bool matmul_parts(test *t, const result *r)
{
    static const char *const acts[] = {NULL, "gelu", "gelu erf=1", "silu", "relu", "tanh"};
    bool narrow = t->in[0].desc.dtype != QN_F32; /* then bias is added before y is rounded */
    const host *product[] = {&t->in[0], &t->in[1], narrow ? &t->in[2] : NULL, &t->in[3]};
    const char *act = acts[t->call.attr[2].i];
    char line[64];
    host value = {0};
    snprintf(line, sizeof line, "matmul trans_a=%d trans_b=%d%s", t->call.attr[0].i != 0,
             t->call.attr[1].i != 0, t->call.attr[3].i ? " out=f32" : "");
    bool good = part(t, line, t->variant, product, 4, &value);
    if (good && t->in[2].there && !narrow) good = apply(t, "add", &t->in[2], &value);
    if (good && r->out[1].there)
        good = judge_same(t, "fused beside its parts", "pre", &r->out[1], &value);
    if (good && act) good = apply(t, act, NULL, &value);
    if (good) good = judge_same(t, "fused beside its parts", "y", &r->out[0], &value);
    host_free(&value);
    return good;
}

static bool swiglu_parts(test *t, const result *r)
{
    const host *gate = &t->in[0];
    host value = {0};
    bool good = part(t, "silu", NULL, &gate, 1, &value) &&
                apply(t, "multiply", &t->in[1], &value) &&
                judge_same(t, "fused beside its parts", "y", &r->out[0], &value);
    host_free(&value);
    return good;
}

static bool gated(const test *t)
{
    return t->row->id == QN_OP_QMATMUL && t->call.attr[0].i;
}

bool made_by_parts(const test *t, int out)
{
    if (gated(t)) return true;
    return t->row->id != QN_OP_QUANTIZE && t->want_out[out].there &&
           t->want_out[out].desc.dtype == QN_Q8X;
}

/* The op without out=q8x, then quantize. */
static bool quantized_parts(test *t, const result *r)
{
    const host *in[QN_OP_MAX_IN];
    char line[sizeof t->line];
    host value = {0};
    for (int i = 0; i < t->row->in_count; i++) in[i] = t->in[i].there ? &t->in[i] : NULL;
    memcpy(line, t->line, sizeof line);
    char *attr = strstr(line, " out=q8x"), *inputs = strstr(line, " :");
    if (!attr || !inputs || attr > inputs) {
        test_fail(t, "q8x without the attribute");
        return false;
    }
    *inputs = 0;
    memmove(attr, attr + strlen(" out=q8x"), strlen(attr + strlen(" out=q8x")) + 1);
    bool good = part(t, line, t->variant, in, t->row->in_count, &value) &&
                apply(t, "quantize", NULL, &value) &&
                judge_same(t, "fused beside its parts", "y", &r->out[0], &value);
    host_free(&value);
    return good;
}

/* Two products, swiglu. */
static bool gated_parts(test *t, const result *r)
{
    enum { X, W, BIAS, C, W2, BIAS2, OUT = 1 };
    const host *first[] = {&t->in[X], &t->in[W], t->in[BIAS].there ? &t->in[BIAS] : NULL};
    const host *second[] = {&t->in[X], &t->in[W2], t->in[BIAS2].there ? &t->in[BIAS2] : NULL};
    host value = {0}, up = {0};
    bool good = part(t, "qmatmul", t->variant, first, 3, &value) &&
                part(t, "qmatmul", t->variant, second, 3, &up) &&
                apply(t, t->call.attr[OUT].i ? "swiglu out=q8x" : "swiglu", &up, &value) &&
                judge_same(t, "fused beside its parts", "y", &r->out[0], &value);
    host_free(&value);
    host_free(&up);
    return good;
}

bool judge_fused(test *t, const result *r)
{
    if (r->own) return true;
    if (gated(t)) return gated_parts(t, r);
    if (made_by_parts(t, 0)) return quantized_parts(t, r);
    if (t->row->id == QN_OP_SWIGLU)
        return t->in[0].desc.dtype != QN_F32 || swiglu_parts(t, r); /* it rounds once, not twice */
    if (t->row->id != QN_OP_MATMUL || (!t->in[2].there && !t->call.attr[2].i)) return true;
    return matmul_parts(t, r);
}
