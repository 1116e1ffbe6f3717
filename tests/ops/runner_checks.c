/* What is asked of each variant of each case. */
#include "runner.h"

#include "base/hash.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ELSEWHERE = 3, ORDERS = QN_EXACT + 1 };

/* ---- forward ---- */

static bool forward_matches(test *t, const result *r)
{
    for (int o = 0; o < t->row->out_count; o++) {
        if (made_by_parts(t, o)) continue;
        if (t->want_out[o].there && !judge_close(t, "forward", t->row->out[o].name, &r->out[o],
                                                 t->want_out[o].d, t->cases->fwd))
            return false;
    }
    return true;
}

static bool forward_as(test *t, const char *what, const manner *how, const result *want)
{
    result r;
    if (!run_forward(t, how, &r)) return false;
    bool good = judge_results_same(t, what, &r, want);
    result_free(&r);
    return good;
}

static bool forward_repeats(test *t, const result *want)
{
    if (!forward_as(t, "forward, run again", &(manner){.again = true, .over = NO_INPUT}, want))
        return false;
    if (!forward_as(t, "forward, operands elsewhere",
                    &(manner){.shift = ELSEWHERE, .over = NO_INPUT}, want))
        return false;
    for (int i = 0; i < t->row->in_count; i++) {
        if (!(t->call.op->fwd_in_place >> i & 1) || !t->in[i].there) continue;
        if (t->in[i].bytes != want->out[0].bytes) continue;
        if (!forward_as(t, "forward, written over an input", &(manner){.over = i}, want))
            return false;
    }
    return true;
}

/* ---- backward ---- */

static tolerance backward_tolerance(const test *t)
{
    tolerance b = t->cases->bwd;
    return b.each == 0 && b.largest == 0 && b.absolute == 0 ? t->cases->fwd : b;
}

/* Of 16-bit cases: a sum in f32 of products that were rounded (multiply), and what is made from
 * rounded outputs of the forward pass, which is off by their rounding times dy, within 1 here. */
static tolerance narrow_tolerance(const test *t, int in)
{
    tolerance b = backward_tolerance(t);
    double unit = t->in[in].desc.dtype == QN_BF16  ? 0x1p-8
                  : t->in[in].desc.dtype == QN_F16 ? 0x1p-11
                                                   : 0;
    bool cast = t->row->id == QN_OP_MATMUL && t->call.attr[3].i; /* of dy to the inputs' type */
    if (t->row->id == QN_OP_MULTIPLY || cast) b.largest += 2 * unit;
    if (t->call.op->bwd_reads_out & 1) b.absolute += unit;
    return b;
}

static bool backward_matches(test *t, const result *r)
{
    char name[32];
    for (int i = 0; i < t->row->in_count; i++) {
        if (!t->want_din[i].there) continue;
        snprintf(name, sizeof name, "d%s", t->row->in[i].name);
        if (!judge_close(t, "backward", name, &r->din[i], t->want_din[i].d, narrow_tolerance(t, i)))
            return false;
    }
    return true;
}

static bool backward_as(test *t, const char *what, const manner *how, const result *fwd,
                        const result *want)
{
    result r;
    if (!run_backward(t, how, fwd, &r)) return false;
    bool good = true;
    for (int i = 0; good && i < t->row->in_count; i++)
        if (how->wanted >> i & 1)
            good = judge_same(t, what, t->row->in[i].name, &r.din[i], &want->din[i]);
    result_free(&r);
    return good;
}

static bool backward_repeats(test *t, const result *fwd, const result *want)
{
    manner how = {.over = NO_INPUT, .wanted = t->differentiable};
    manner again = how, elsewhere = how, over = how;
    again.again = true;
    elsewhere.shift = ELSEWHERE;
    if (!backward_as(t, "backward, run again", &again, fwd, want)) return false;
    if (!backward_as(t, "backward, operands elsewhere", &elsewhere, fwd, want)) return false;
    for (int i = 0; i < t->row->in_count; i++) {
        how.wanted = t->differentiable & 1u << i;
        if (how.wanted && how.wanted != t->differentiable &&
            !backward_as(t, "backward, one gradient alone", &how, fwd, want))
            return false;
    }
    if (t->row->gradient != QN_GRAD_KERNEL || !(t->differentiable & 1)) return true;
    over.over = 1;
    if (t->call.op->bwd_over_in && !backward_as(t, "backward, written over x", &over, fwd, want))
        return false;
    if (!t->call.op->bwd_in_place || t->dout[0].bytes != t->in[0].bytes) return true;
    over.over = 0;
    return backward_as(t, "backward, written over dy", &over, fwd, want);
}

/* dout = a dout + b other. */
static void combine(const test *t, host dout[QN_OP_MAX_OUT], double a, double b, const host *other)
{
    for (int o = 0; o < QN_OP_MAX_OUT; o++) {
        dout[o] = (host){0};
        if (!t->dout[o].there) continue;
        host_make(&dout[o], &t->dout[o].desc);
        for (int64_t i = 0; i < dout[o].count; i++)
            dout[o].d[i] = a * t->dout[o].d[i] + (other ? b * other[o].d[i] : 0);
        host_round(&dout[o]);
    }
}

static void free_all(host *h, int count)
{
    for (int i = 0; i < count; i++) host_free(&h[i]);
}

static bool has_dtype(const test *t, qn_dtype dtype)
{
    bool has = false;
    for (int i = 0; i < t->row->in_count; i++)
        has |= t->in[i].there && t->in[i].desc.dtype == dtype;
    for (int o = 0; o < t->row->out_count; o++)
        has |= t->dout[o].there && t->dout[o].desc.dtype == dtype;
    return has;
}

/* Half a unit in the last place, relative, of the coarsest type of inputs and gradients. */
static double coarsest(const test *t)
{
    return has_dtype(t, QN_BF16) ? 0x1p-8 : has_dtype(t, QN_F16) ? 0x1p-11 : 0x1p-24;
}

/* Twice dy gives twice the gradient, bit for bit (where halving did not lose digits). */
static bool backward_doubles(test *t, const result *fwd, const result *one)
{
    host dout[QN_OP_MAX_OUT];
    result two;
    double least = has_dtype(t, QN_F16) ? 0x1p-13 : 0x1p-100; /* below: denormals */
    bool cast = t->row->id == QN_OP_MATMUL && t->call.attr[3].i && has_dtype(t, QN_F16);
    combine(t, dout, 2, 0, NULL);
    manner how = {.over = NO_INPUT, .wanted = t->differentiable, .dout = dout};
    bool good = run_backward(t, &how, fwd, &two);
    for (int i = 0; good && i < t->row->in_count; i++)
        for (int64_t e = 0; good && one->din[i].there && e < one->din[i].count; e++) {
            double got = two.din[i].d[e], want = 2 * one->din[i].d[e];
            if (got == want || (fabs(want) < least && fabs(got) < least)) continue;
            /* a term of the sum may have been a denormal: dy in f16 */
            if (cast && fabs(got - want) <= 0x1p-20 * fabs(want) + 0x1p-20) continue;
            test_fail(t, "backward of 2 dy: d%s[%lld] is %a, not twice %a", t->row->in[i].name,
                      (long long)e, got, one->din[i].d[e]);
            good = false;
        }
    result_free(&two);
    free_all(dout, QN_OP_MAX_OUT);
    return good;
}

/* backward(dy + e) is backward(dy) + backward(e), within three tolerances and the rounding of dy +
 * e. */
static bool backward_adds(test *t, const result *fwd, const result *one)
{
    host other[QN_OP_MAX_OUT], sum[QN_OP_MAX_OUT];
    result second = {0}, both = {0};
    tolerance within = backward_tolerance(t);
    combine(t, other, 0, 0, NULL);
    for (int o = 0; o < QN_OP_MAX_OUT; o++) {
        for (int64_t i = 0; i < other[o].count; i++) other[o].d[i] = random_uniform(t, -1, 1);
        if (other[o].there) host_round(&other[o]);
    }
    combine(t, sum, 1, 1, other);
    manner how = {.over = NO_INPUT, .wanted = t->differentiable, .dout = other};
    bool good = run_backward(t, &how, fwd, &second);
    how.dout = sum;
    good = good && run_backward(t, &how, fwd, &both);
    double rounding = coarsest(t);
    within.each *= 3;
    within.largest *= 3;
    within.absolute *= 3;
    for (int i = 0; good && i < t->row->in_count; i++) {
        if (!one->din[i].there) continue;
        double largest = 0;
        for (int64_t e = 0; e < one->din[i].count; e++) {
            largest = fmax(largest, fmax(fabs(second.din[i].d[e]), fabs(one->din[i].d[e])));
            second.din[i].d[e] += one->din[i].d[e];
        }
        tolerance wider = within; /* terms may cancel: rounding and error are relative to them */
        wider.absolute += (within.largest + within.each + 4 * rounding) * largest;
        good = judge_close(t, "backward of a sum:", t->row->in[i].name, &both.din[i],
                           second.din[i].d, wider);
    }
    result_free(&second);
    result_free(&both);
    free_all(other, QN_OP_MAX_OUT);
    free_all(sum, QN_OP_MAX_OUT);
    return good;
}

/* ---- one variant ---- */

/* Numbers that are none: no crash, no stray write. */
static bool survives_spoiled(test *t)
{
    test spoiled = *t;
    result fwd, bwd;
    memset(spoiled.in, 0, sizeof spoiled.in);
    for (int i = 0; i < t->row->in_count; i++) {
        if (!t->in[i].there) continue;
        host_make(&spoiled.in[i], &t->in[i].desc);
        memcpy(spoiled.in[i].d, t->in[i].d, (size_t)t->in[i].count * sizeof(double));
        host_round(&spoiled.in[i]);
    }
    data_spoil(&spoiled);
    bool good = run_forward(&spoiled, &(manner){.over = NO_INPUT}, &fwd);
    if (good && t->differentiable) {
        good = run_backward(&spoiled, &(manner){.over = NO_INPUT, .wanted = t->differentiable},
                            &fwd, &bwd);
        if (good) result_free(&bwd);
    }
    if (good) result_free(&fwd);
    free_all(spoiled.in, QN_OP_MAX_IN);
    t->failed |= spoiled.failed;
    return good;
}

/* Fills r with outputs and gradients. */
static bool check_variant(test *t, result *r)
{
    manner how = {.over = NO_INPUT, .wanted = t->differentiable};
    result bwd;
    if (!run_forward(t, &how, r)) return false;
    if (!forward_matches(t, r) || !forward_repeats(t, r) || !survives_spoiled(t)) return false;
    if (!t->options->loose && !judge_fused(t, r)) return false;
    if (!t->differentiable) return true;
    if (!run_backward(t, &how, r, &bwd)) return false;
    memcpy(r->din, bwd.din, sizeof r->din);
    r->own |= bwd.own;
    return backward_matches(t, &bwd) && backward_repeats(t, r, &bwd) &&
           backward_doubles(t, r, &bwd) && backward_adds(t, r, &bwd);
}

/* Other settings of the variant give the same bits. r: outputs and gradients at the preset. Each is
 * a program more to build, so a case meets a third of them, other cases another third; --variant
 * wide/deep puts every case to one setting. */
static bool settings_agree(test *t, const qn_variant *variant, const result *r)
{
    const char *preset = t->variant;
    manner how = {.over = NO_INPUT, .wanted = t->differentiable};
    bool backward = t->differentiable && t->row->gradient == QN_GRAD_KERNEL, good = true;
    for (int s = 0; good && variant->settings && variant->settings[s].name; s++) {
        char name[64];
        qn_call call = t->call;
        call.caps = &t->options->caps;
        snprintf(name, sizeof name, "%s/%s", variant->name, variant->settings[s].name);
        if ((qn__hash(t->line, strlen(t->line)) + (uint64_t)s) % 3 != 0) continue;
        if (qn__call_choose(&call, name) != QN_OK) continue;
        t->variant = name;
        good = forward_as(t, "forward, beside the preset", &how, r) &&
               (!backward || backward_as(t, "backward, beside the preset", &how, r, r));
    }
    t->variant = preset;
    return good;
}

static bool refused(test *t, const qn_variant *variant)
{
    qn_call call = t->call;
    call.caps = &t->options->caps;
    const char *why = variant->refuse(&call);
    if (!why) return false;
    t->options->refusals++;
    if (t->options->verbose)
        printf("refused \"%s\" --variant %s: %s\n", t->line, variant->name, why);
    return true;
}

static bool chosen(const test *t, const qn_variant *variant)
{
    const char *only = t->options->variant, *without = t->options->without;
    if (without && strcmp(without, variant->name) == 0) return false;
    size_t length = only ? strcspn(only, "/") : 0;
    return !only || (strlen(variant->name) == length && memcmp(variant->name, only, length) == 0);
}

static bool check_cost(test *t)
{
    qn_cost cost = qn__call_cost(&t->call);
    if (isfinite(cost.flops) && isfinite(cost.bytes) && cost.flops >= 0 && cost.bytes >= 0)
        return true;
    test_fail(t, "costs %g flops and %g bytes", cost.flops, cost.bytes);
    return false;
}

void test_run(test *t)
{
    struct {
        bool there;
        const char *variant;
        result r;
    } first[ORDERS] = {0};
    char what[96];
    if (!check_cost(t)) return;
    for (const qn_variant *variant = t->call.op->variants; variant->name; variant++) {
        result r = {0};
        if (!chosen(t, variant) || refused(t, variant)) continue;
        bool set = t->options->variant && strchr(t->options->variant, '/');
        t->variant = set ? t->options->variant : variant->name;
        t->failed = false;
        bool good =
            check_variant(t, &r) && (set || t->options->loose || settings_agree(t, variant, &r));
        if (t->options->verbose)
            printf("%s \"%s\" --variant %s\n", good ? "passed" : "FAILED", t->line, t->variant);
        int order = variant->order;
        if (good && !r.own && !t->options->loose && first[order].there) {
            snprintf(what, sizeof what, "beside variant %s of the same order",
                     first[order].variant);
            judge_results_same(t, what, &r, &first[order].r);
        }
        if (good && !r.own && !first[order].there) {
            first[order].there = true;
            first[order].variant = variant->name;
            first[order].r = r;
        } else {
            result_free(&r);
        }
    }
    for (int i = 0; i < ORDERS; i++) result_free(&first[i].r);
}

/* One line a case and variant: a hash of its outputs and gradients. */
void test_hash(test *t)
{
    manner how = {.over = NO_INPUT, .wanted = t->differentiable};
    for (const qn_variant *variant = t->call.op->variants; variant->name; variant++) {
        result fwd, bwd = {0};
        if (!chosen(t, variant) || refused(t, variant)) continue;
        t->variant = variant->name;
        if (!run_forward(t, &how, &fwd)) continue;
        uint64_t hash = t->options->seed;
        if (!t->differentiable || run_backward(t, &how, &fwd, &bwd)) {
            for (int o = 0; o < QN_OP_MAX_OUT; o++)
                hash = qn__hash_seeded(fwd.out[o].raw, fwd.out[o].bytes, hash);
            for (int i = 0; i < QN_OP_MAX_IN; i++)
                hash = qn__hash_seeded(bwd.din[i].raw, bwd.din[i].bytes, hash);
            printf("%016llx %s --variant %s\n", (unsigned long long)hash, t->line, variant->name);
        }
        result_free(&fwd);
        result_free(&bwd);
    }
}
