/* What needs no device: shape rules, choice for devices that are not there, recorded launches. */
#include "runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const qn_caps imagined[] = {
    {.name = "a CPU",
     .type = QN_CPU,
     .compute_units = 8,
     .max_group = 4096,
     .local_bytes = 1 << 19,
     .fma = true,
     .max_alloc_bytes = 1ull << 33,
     .global_bytes = 1ull << 34,
     .base_align_bytes = 128,
     .probe = {[QN_PROBE_BASIC] = QN_PROVEN,
               [QN_PROBE_VECTOR16] = QN_PROVEN,
               [QN_PROBE_LOCAL] = QN_PROVEN}},
    {.name = "a GPU",
     .type = QN_GPU,
     .compute_units = 60,
     .max_group = 256,
     .local_bytes = 1 << 15,
     .fma = true,
     .max_alloc_bytes = 1ull << 32,
     .global_bytes = 1ull << 33,
     .base_align_bytes = 256,
     .probe = {[QN_PROBE_BASIC] = QN_PROVEN, [QN_PROBE_LOCAL] = QN_PROVEN}},
    {.name = "a device of which nothing is proven",
     .type = QN_GPU,
     .compute_units = 1,
     .max_group = 64,
     .local_bytes = 1 << 10,
     .max_alloc_bytes = 1 << 28,
     .global_bytes = 1 << 30,
     .base_align_bytes = 4},
};

static const char *device; /* for which is being recorded */

/* Every file that a launch names is there, and has the kernel. */
static void check_source(void *user, const char *file, const char *flags, const char *kernel)
{
    test *t = user;
    char *source;
    if (t->options->verbose) printf("program for %s: %s %s\n", device, file, flags);
    if (qn__kernel_source(file, &source) != QN_OK) {
        test_fail(t, "%s: %s", file, qn_last_error());
        return;
    }
    if (!strstr(source, kernel)) test_fail(t, "%s has no kernel %s", file, kernel);
    free(source);
}

static void record(test *t, const qn_call *call)
{
    qn_exec exec = {.record = check_source, .record_user = t};
    qn_status status = call->backward ? call->op->bwd(&exec, call) : call->op->fwd(&exec, call);
    if (status != QN_OK) test_fail(t, "recording: %s", qn_last_error());
    qn__exec_free(&exec);
    t->options->runs++;
}

static qn_call backward_of(const test *t)
{
    qn_call call = t->call;
    call.backward = true;
    for (int o = 0; o < t->row->out_count; o++)
        if (!t->row->out[o].saved) call.dout[o] = call.out[o];
    for (int i = 0; i < t->row->in_count; i++)
        if (t->differentiable >> i & 1) call.din[i] = call.in[i];
    return call;
}

static void one_variant(test *t, const qn_call *asked, const char *name)
{
    qn_call call = *asked;
    t->variant = name;
    if (qn__call_choose(&call, name) != QN_OK) {
        if (name) t->options->refusals++;
        else test_fail(t, "%s: %s", call.caps->name, qn_last_error());
        return;
    }
    if (call.variant->scratch && call.variant->scratch(&call) > (uint64_t)1 << 32)
        test_fail(t, "asks for %llu bytes of scratch",
                  (unsigned long long)call.variant->scratch(&call));
    record(t, &call);
}

void test_dry(test *t)
{
    char name[64];
    for (size_t i = 0; i < sizeof imagined / sizeof imagined[0]; i++) {
        qn_call calls[] = {t->call, backward_of(t)};
        bool backward = t->row->gradient == QN_GRAD_KERNEL && t->differentiable;
        for (int c = 0; c < 1 + backward; c++) {
            calls[c].caps = &imagined[i];
            device = imagined[i].name;
            one_variant(t, &calls[c], NULL);
            for (const qn_variant *v = t->call.op->variants; v->name; v++) {
                one_variant(t, &calls[c], v->name);
                for (int s = 0; v->settings && v->settings[s].name; s++) {
                    snprintf(name, sizeof name, "%s/%s", v->name, v->settings[s].name);
                    one_variant(t, &calls[c], name);
                }
            }
        }
    }
}
