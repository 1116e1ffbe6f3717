/* quernel train: text in; a model folder, a loss curve and what to type next out. */
#include "chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int qn__train(const qn_command *self, int argc, char **argv);

static const qn_flag own_flags[] = {
    {"config", "FILE", "keys from a JSON file; flags override it"},
    QN_FLAG_DEVICE,
    {"profile", NULL, "time every kernel (slower), and show where the time went"},
    {"quiet", NULL, "no progress line, no chart"},
    {"json", NULL, "one JSON object a step on standard output, everything else on standard error"},
    {0},
};

typedef struct run {
    const char *folder;
    const char *base; /* NULL: the folder holds a whole model */
    bool json, quiet, profile;
    qn_trainer *trainer;
    FILE *out;                   /* for people: standard output, or with --json standard error */
    double pages_at, pages_took; /* seconds: when written last, and how long it took */
    bool stale;                  /* they could not be written */
    qn_step_info last;
    qn_status status; /* what the work ended with */
} run;

static void show_step(const run *r, const qn_step_info *info)
{
    char val[48] = "";
    if (isfinite(info->val_loss)) snprintf(val, sizeof val, "  validation %.4f", info->val_loss);
    if (info->skipped) qn__note("step %lld skipped: %s", (long long)info->step, info->skipped);
    if (r->quiet) return;
    if (*val || info->step == info->steps)
        qn__note("step %lld/%lld  loss %.4f%s%s", (long long)info->step, (long long)info->steps,
                 info->loss, val, info->saved ? "  saved" : "");
    qn__progress("step %lld/%lld  loss %.4f  %s tokens/s  %.0f %% of peak  %s left",
                 (long long)info->step, (long long)info->steps, info->loss,
                 qn__text_count(info->tokens_per_s), info->percent_of_peak,
                 qn__text_seconds(info->seconds_left));
}

/* SIGUSR1: a checkpoint and the model folder as they are now; whatever comes of it, the run goes
 * on.
 */
static void save_now(run *r)
{
    if (qn_trainer_save(r->trainer) != QN_OK)
        qn__note("quernel: not saved at step %lld: %s", (long long)r->last.step, qn_last_error());
    else r->last.saved = true;
    if (r->last.saved && !r->quiet) qn__note("step %lld saved", (long long)r->last.step);
}

/* The pages, from all that the folder holds. */
static int write_pages(run *r, bool show)
{
    char title[256], path[4096];
    qn_history history;
    double begin = qn__now_seconds();
    snprintf(title, sizeof title, "loss of %s", r->folder);
    if ((size_t)snprintf(path, sizeof path, "%s/metrics.jsonl", r->folder) >= sizeof path)
        return QN_GO_ON;
    int code = qn__history_read(path, &history);
    if (code == QN_GO_ON && show) qn__chart_term(&history, title, r->out, qn__term_columns());
    if (code == QN_GO_ON) code = qn__write_pages(r->folder, &history);
    if (code == QN_GO_ON && show)
        fprintf(r->out, "curve:  %s/loss.svg\nreport: %s/report.html\n", r->folder, r->folder);
    qn__history_free(&history);
    r->pages_at = qn__now_seconds();
    r->pages_took = r->pages_at - begin;
    return code;
}

/* At validations, so that a run can be watched; never more than a fiftieth of its time. */
static void refresh_pages(run *r, const qn_step_info *info)
{
    double since = qn__now_seconds() - r->pages_at;
    if (!isfinite(info->val_loss) || info->step >= info->steps || r->stale) return;
    if (since < 5 || since < 50 * r->pages_took) return;
    r->stale = write_pages(r, false) != QN_GO_ON; /* said once */
}

static bool on_step(void *user, const qn_step_info *info)
{
    run *r = user;
    char *line;
    r->last = *info;
    qn__signals_catch();
    if (qn__save_asked() && !info->saved) save_now(r);
    info = &r->last;
    if (r->json && qn_step_info_json(info, &line) == QN_OK) {
        puts(line);
        fflush(stdout); /* who reads a pipe wants each line when it is there */
        qn_free(line);
    }
    if (qn__ranks_speaks()) show_step(r, info);
    if (qn__ranks_speaks()) refresh_pages(r, info);
    return !qn__stop_asked();
}

static int show_profile(const run *r, qn_trainer *trainer)
{
    char *text;
    qn_status status = qn_trainer_profile(trainer, &text);
    if (status != QN_OK) return qn__say_status(status);
    json_t *rows = qn__take_json(text);
    if (!rows) return 70;
    if (!r->json) {
        qn__print_profile(r->out, rows);
        json_decref(rows);
        return QN_EXIT_OK;
    }
    return qn__print_json(json_pack("{s:o}", "profile", rows));
}

static int finish(run *r, qn_trainer *trainer, qn_status status)
{
    qn__progress_end(status == QN_OK && !r->quiet);
    int code = status == QN_OK || status == QN_INTERRUPTED ? QN_EXIT_OK : qn__ranks_say(status);
    if (!qn__ranks_speaks()) return status == QN_INTERRUPTED ? QN_EXIT_RETRY : code;
    if (r->last.step > 0 && code == QN_EXIT_OK && r->profile) code = show_profile(r, trainer);
    if (r->last.step > 0 && code == QN_EXIT_OK) {
        code = write_pages(r, !r->quiet);
        if (code == QN_GO_ON) code = QN_EXIT_OK;
    } else if (r->last.step > 0 && status == QN_NON_FINITE) {
        (void)write_pages(r, false);
    }
    if (code != QN_EXIT_OK) return code;
    const char *folder = qn__text_quoted(r->folder);
    if (status == QN_INTERRUPTED)
        return qn__say_error(
            QN_EXIT_RETRY, "stopped and saved at step %lld; the same command with --resume goes on",
            (long long)r->last.step);
    if (!r->quiet && r->base)
        fprintf(r->out,
                "adapter: %s\nnext:    quernel generate --model %s --adapter %s --prompt \"...\"\n",
                r->folder, qn__text_quoted(r->base), folder);
    else if (!r->quiet)
        fprintf(r->out,
                "model: %s\nnext:  quernel generate --model %s --prompt \"...\" --tokens 200\n",
                r->folder, folder);
    return QN_EXIT_OK;
}

/* "data: 1,003,854 tokens in 7,222 documents, 63 % of them learned, in 3,921 sequences 98 % full;
 * ..."
 */
static void say_data(const qn_trainer *trainer)
{
    char *text, documents[64] = "", learned[48] = "", packed[96] = "", val[64] = "",
                longer[64] = "";
    json_t *data = NULL;
    if (qn_trainer_data_json(trainer, &text) == QN_OK) data = qn__take_json(text);
    if (!data) return;
    if (qn__get_number(data, "documents") > 1)
        snprintf(documents, sizeof documents, " in %s documents",
                 qn__text_count(qn__get_number(data, "documents")));
    if (json_object_get(data, "learned"))
        snprintf(learned, sizeof learned, " (%.0f %% learned)",
                 100 * qn__get_number(data, "learned"));
    if (json_object_get(data, "full"))
        snprintf(packed, sizeof packed, ", %s sequences %.0f %% full",
                 qn__text_count(qn__get_number(data, "samples")),
                 100 * qn__get_number(data, "full"));
    if (qn__get_number(data, "cut") > 0)
        snprintf(longer, sizeof longer, "; %s longer than --context are cut",
                 qn__text_count(qn__get_number(data, "cut")));
    if (qn__get_number(data, "val_tokens") > 0)
        snprintf(val, sizeof val, "; %s to validate on",
                 qn__text_count(qn__get_number(data, "val_tokens")));
    qn__note("data: %s tokens%s%s%s%s%s%s", qn__text_count(qn__get_number(data, "tokens")), learned,
             documents, packed, longer, val,
             json_is_true(json_object_get(data, "cached")) ? "; from the cache" : "");
    json_decref(data);
}

static void say_what_will_be_used(const run *r, qn_device *device)
{
    uint64_t now;
    qn_device_memory(device, &now, NULL);
    qn__progress_end(false);
    if (!r->quiet) say_data(r->trainer);
    if (!r->quiet)
        qn__note("%s: %s of device memory, all that this run will use", qn_device_name(device),
                 qn__text_bytes((double)now));
}

static int train_on(run *r, const qn_train_options *options, qn_device *device)
{
    qn_trainer *trainer = NULL;
    qn_status status =
        qn_trainer_create(options, device, r->quiet ? NULL : qn__work, NULL, &trainer);
    r->status = status;
    if (status != QN_OK) return qn__ranks_say(status);
    r->trainer = trainer;
    qn__signals_catch();
    say_what_will_be_used(r, device);
    status = qn_trainer_run(trainer, on_step, r);
    r->status = status;
    int code = finish(r, trainer, status);
    qn_trainer_destroy(&trainer);
    return code;
}

/* A key as it stands after the configuration file and the flags; empty when not set. */
static char *key_text(const qn_train_options *options, const char *key)
{
    char *text = NULL, *copy = NULL;
    if (qn_train_options_json(options, &text) != QN_OK) return NULL;
    json_t *keys = qn__take_json(text);
    if (keys) copy = strdup(qn__get_text(keys, key));
    json_decref(keys);
    return copy;
}

/* The model beside which the adapters in the folder work, where there are such. */
static char *base_of(const qn_train_options *options)
{
    char *text = NULL, *base = NULL;
    if (qn_train_options_json(options, &text) != QN_OK) return NULL;
    json_t *keys = qn__take_json(text);
    if (keys && qn__get_number(keys, "lora_rank") > 0 &&
        !json_is_true(json_object_get(keys, "merge")))
        base = strdup(qn__get_text(keys, "model"));
    json_decref(keys);
    return base;
}

static double watchdog_of(const qn_train_options *options)
{
    char *text = NULL;
    if (qn_train_options_json(options, &text) != QN_OK) return 0;
    json_t *keys = qn__take_json(text);
    double seconds = keys ? qn__get_number(keys, "watchdog") : 0;
    json_decref(keys);
    return seconds;
}

/* A device for each rank, or none for any. */
static int open_here(run *r, const char *selector, qn_device **device)
{
    const qn_device_options options = {.size = sizeof options,
                                       .selector = selector,
                                       .profile = r->profile,
                                       .local_rank = qn_cluster_local_rank(),
                                       .local_size = qn_cluster_local_size()};
    if (r->status == QN_OK) r->status = qn_cluster_agree(qn_device_open(&options, device));
    if (r->status != QN_OK) return qn__ranks_say(r->status);
    if (qn_cluster_size() > 1 && !r->quiet) qn__note("%s", qn_cluster_text());
    return QN_GO_ON;
}

int qn__train_run(const qn_args *args, qn_train_options *options)
{
    qn_device *device = NULL;
    qn__signals_catch();
    char *folder = key_text(options, "out"), *selector = key_text(options, "device"),
         *base = base_of(options);
    run r = {.profile = qn__arg(args, "profile") != NULL, .folder = folder, .base = base};
    int code = !folder || !*folder
                   ? qn__say_error(QN_EXIT_USAGE,
                                   "%s: --out is missing: the folder for checkpoints and the model",
                                   args->command->name)
                   : QN_GO_ON;
    if (code == QN_GO_ON) {
        r.status = qn__ranks_join(watchdog_of(options));
        r.json = qn__arg(args, "json") != NULL && qn__ranks_speaks();
        r.quiet = qn__arg(args, "quiet") != NULL || !qn__ranks_speaks();
        r.out = r.json ? stderr : stdout;
    }
    const char *device_flag = qn__arg(args, "device");
    if (!device_flag && selector && *selector) device_flag = selector;
    if (code == QN_GO_ON) code = open_here(&r, device_flag, &device);
    if (code == QN_GO_ON) code = train_on(&r, options, device);
    qn_device_close(&device);
    code = qn__ranks_leave(r.status, code);
    qn_train_options_destroy(&options);
    free(folder);
    free(selector);
    free(base);
    return code;
}

int qn__train(const qn_command *self, int argc, char **argv)
{
    qn_args args;
    qn_train_options *options = NULL;
    int code = qn__args_parse(&args, self, qn__train_flags(own_flags), 0, argc, argv);
    if (code == QN_GO_ON) code = qn__train_options(&args, &options);
    return code == QN_GO_ON ? qn__train_run(&args, options) : code;
}
