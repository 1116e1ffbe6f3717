/* op_runner: every op, every variant, against the reference. Options are listed in usage(). */
#include "runner.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QN_OP(stem, NAME, in, out, attrs, gradient, recompute) extern const op_cases cases_##stem;
#include "ops/op_list.def"
#undef QN_OP

#define QN_OP(stem, NAME, in, out, attrs, gradient, recompute) &cases_##stem,
static const op_cases *const all_cases[QN_OP_COUNT] = {
#include "ops/op_list.def"
};
#undef QN_OP

/* ---- what is running, for a crash ---- */

static test now;

static void on_crash(int number)
{
    static const char *const parts[] = {"FAILED op_runner --case \"", now.line, "\" --variant "};
    ssize_t wrote = 0;
    for (int i = 0; i < 3; i++) wrote += write(STDOUT_FILENO, parts[i], strlen(parts[i]));
    if (now.variant) wrote += write(STDOUT_FILENO, now.variant, strlen(now.variant));
    wrote += write(STDOUT_FILENO, ": crashed\n", 10);
    signal(number, SIG_DFL);
    raise(number);
    (void)wrote;
}

/* ---- one line ---- */

static bool prepare(options *o, const char *line)
{
    qn_op_id id;
    now = (test){.options = o};
    snprintf(now.line, sizeof now.line, "%s", line);
    qn_status status = line_parse(line, &id, &now.call);
    if (status == QN_OK) {
        now.row = qn__op_row(id);
        now.cases = all_cases[id];
        status = qn__call_shape(&now.call);
    }
    if (status == QN_OK) return true;
    test_fail(&now, "%s: %s", qn_status_name(status), qn_last_error());
    return false;
}

static bool open_device(options *o)
{
    if (o->device) return true;
    qn_device_options choice = {.size = sizeof choice, .selector = o->selector};
    if (qn_device_open(&choice, &o->device) != QN_OK) {
        fprintf(stderr, "op_runner: %s\n", qn_last_error());
        exit(69);
    }
    o->caps = *qn__device_caps(o->device);
    if (o->as_gpu) {
        o->caps.type = QN_GPU;
        o->caps.peak_gflops = 1e-6;
        o->caps.probe[QN_PROBE_LOCAL] = QN_PROVEN;
    }
    if (!o->as_cpu) return true;
    o->caps.type = QN_CPU;
    o->caps.probe[QN_PROBE_VECTOR16] = o->caps.probe[QN_PROBE_LOCAL] = QN_PROVEN;
    return true;
}

static void run_line(void *user, const char *line)
{
    options *o = user;
    if (o->list) {
        printf("%s\n", line);
        return;
    }
    o->cases++;
    if ((!o->dry && !open_device(o)) || !prepare(o, line)) return;
    data_make(&now, !o->dry);
    if (o->dry) test_dry(&now);
    else if (o->hash) test_hash(&now);
    else test_run(&now);
    data_free(&now);
}

/* A line whose shape rule must say no, as the caller's mistake. */
static void refuse_line(void *user, const char *line)
{
    options *o = user;
    qn_op_id id;
    o->cases++;
    now = (test){.options = o};
    snprintf(now.line, sizeof now.line, "%s", line);
    qn_status status = line_parse(line, &id, &now.call);
    if (status != QN_OK) {
        test_fail(&now, "%s", qn_last_error());
        return;
    }
    status = qn__call_shape(&now.call);
    if (status != QN_BAD_ARGUMENT && status != QN_UNSUPPORTED)
        test_fail(&now, "the shape rule should refuse this; it says %s", qn_status_name(status));
}

/* ---- the tables ---- */

static void run_lines(options *o, const char *const *lines, void (*take)(void *, const char *))
{
    for (; lines && *lines; lines++) line_expand(*lines, take, o);
}

static void run_op(options *o, int id)
{
    const op_cases *cases = all_cases[id];
    const char *stem = qn__op_row((qn_op_id)id)->stem;
    if (!cases->tiny || !cases->device || !cases->sizes || !cases->why || !cases->refused) {
        printf(
            "FAILED %s: its table lacks a tier, refused lines, or why its tolerances are these\n",
            stem);
        o->failures++;
        return;
    }
    const char *const tiers[] = {"tiny", "device", "sizes"};
    const char *const *const lines[] = {cases->tiny, cases->device, cases->sizes};
    for (int i = 0; i < 3; i++) {
        bool last = strcmp(o->tier, tiers[i]) == 0;
        if (i == 1 && !o->list && !o->hash) run_lines(o, cases->refused, refuse_line);
        if (last || !o->alone) run_lines(o, lines[i], run_line);
        if (last) return;
    }
}

static int usage(void)
{
    fputs(
        "op_runner [--tier tiny|device|sizes] [--alone] [--op STEM] [--case LINE] [--variant NAME] "
        "[--without NAME]\n"
        "          [--device SELECTOR]  [--seed N] [--hash] [--list] [--verbose] [--as-cpu] "
        "[--loose] [--no-device]\n"
        "Checks every variant of every op against its reference; prints a line that reruns what "
        "failed.\n"
        "A tier has the cases of those before it; with --alone its own only.\n"
        "--hash prints a hash of all results for each case and variant instead, --list the cases.\n"
        "--as-cpu runs what is for CPUs on any device (a simulator), --as-gpu launches as on the "
        "slowest GPU; --loose does not compare "
        "variants;\n"
        "--no-device checks shape rules, choices and recorded launches only; with --verbose it "
        "prints "
        "their programs.\n",
        stderr);
    return 64;
}

static bool take_option(options *o, const char *key, const char *value)
{
    const struct {
        const char *key;
        const char **to;
    } words[] = {{"--tier", &o->tier},       {"--op", &o->op},
                 {"--case", &o->line},       {"--variant", &o->variant},
                 {"--without", &o->without}, {"--device", &o->selector}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(key, words[i].key) == 0) {
            *words[i].to = value;
            return true;
        }
    if (strcmp(key, "--seed") != 0) return false;
    o->seed = strtoull(value, NULL, 0);
    return true;
}

static bool parse(options *o, int count, char **words)
{
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--hash") == 0) o->hash = true;
        else if (strcmp(words[i], "--list") == 0) o->list = true;
        else if (strcmp(words[i], "--verbose") == 0) o->verbose = true;
        else if (strcmp(words[i], "--alone") == 0) o->alone = true;
        else if (strcmp(words[i], "--no-device") == 0) o->dry = true;
        else if (strcmp(words[i], "--as-cpu") == 0) o->as_cpu = true;
        else if (strcmp(words[i], "--as-gpu") == 0) o->as_gpu = true;
        else if (strcmp(words[i], "--loose") == 0) o->loose = true;
        else if (i + 1 < count && take_option(o, words[i], words[i + 1])) i++;
        else return false;
    }
    bool tier = strcmp(o->tier, "tiny") == 0 || strcmp(o->tier, "device") == 0 ||
                strcmp(o->tier, "sizes") == 0;
    return tier && (!o->op || qn__op_find(o->op, strlen(o->op)));
}

int main(int count, char **words)
{
    options o = {.tier = "device", .seed = 1};
    if (!parse(&o, count, words)) return usage();
    signal(SIGSEGV, on_crash);
    signal(SIGBUS, on_crash);
    signal(SIGFPE, on_crash);
    signal(SIGILL, on_crash);
    signal(SIGABRT, on_crash);
    if (o.line) line_expand(o.line, run_line, &o);
    for (int id = 0; !o.line && id < QN_OP_COUNT; id++)
        if (!o.op || strcmp(o.op, qn__op_row((qn_op_id)id)->stem) == 0) run_op(&o, id);
    if (!o.list && !o.hash)
        printf("%d cases, %d runs, %d variants refused, %d failures (tier %s, seed %llu, %s)\n",
               o.cases, o.runs, o.refusals, o.failures, o.tier, (unsigned long long)o.seed,
               o.device ? qn_device_name(o.device) : "no device");
    qn_device_close(&o.device);
    return o.failures ? 1 : 0;
}
