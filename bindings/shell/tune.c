/* quernel tune: time kernels ahead, within a budget that is said first. */
#include "shell.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int qn__tune(const qn_command *self, int argc, char **argv);

static const qn_flag own_flags[] = {
    {"model", "PATH",
     "without data: a model that generates; with --data: the model that the run begins with"},
    {"config", "FILE", "keys from a JSON file; flags override it"},
    {"budget", "SECONDS", "stop after so many seconds (default: 60)"},
    {"again", NULL, "also time what was timed before"},
    QN_FLAG_DEVICE,
    QN_FLAG_JSON,
    {0},
};

enum { CASE_COLUMNS = 62 };

/* The budget and the work before anything is timed; then a line that moves. */
static bool show(void *user, const qn_tune_info *info)
{
    bool *announced = user;
    if (!*announced) {
        *announced = true;
        if (info->calls == 0) qn__note("nothing to time: every call has its entry, or no choice");
        else
            qn__note("timing %d candidates of %d calls, for at most %s; Ctrl-C keeps what is done",
                     info->candidates, info->calls, qn__text_seconds(info->budget));
    }
    if (info->line)
        qn__progress("%d of %d calls  %s of %s%s%s  %.*s", info->done, info->calls,
                     qn__text_seconds(info->spent), qn__text_seconds(info->budget),
                     isfinite(info->left) ? "  left " : "",
                     isfinite(info->left) ? qn__text_seconds(info->left) : "", CASE_COLUMNS,
                     info->line);
    return !qn__stop_asked();
}

static void print_report(const json_t *report)
{
    size_t index;
    const json_t *row;
    const json_t *rows = json_object_get(report, "entries");
    if (json_array_size(rows) > 0)
        printf("%-*s %5s %11s %11s  %-16s %7s\n", CASE_COLUMNS, "call", "times", "default ms",
               "best ms", "choice", "% peak");
    json_array_foreach(rows, index, row)
    {
        double percent = qn__get_number(row, "percent_of_peak");
        char share[16];
        if (percent <= 100) snprintf(share, sizeof share, "%.1f%%", percent);
        else snprintf(share, sizeof share, "caches"); /* timed again and again, it stays there */
        bool other = strcmp(qn__get_text(row, "choice"), qn__get_text(row, "default")) != 0;
        printf("%-*.*s %5.0f %11.4f %11.4f  %-16s %7s\n", CASE_COLUMNS, CASE_COLUMNS,
               qn__get_text(row, "case"), qn__get_number(row, "count"),
               qn__get_number(row, "default_ms"), qn__get_number(row, "best_ms"),
               other ? qn__get_text(row, "choice") : "(default)", share);
    }
    printf("%.0f calls timed in %s, %.0f run otherwise than by default, %.0f left%s\n",
           qn__get_number(report, "timed"),
           qn__text_seconds(qn__get_number(report, "spent_seconds")),
           qn__get_number(report, "replaced"), qn__get_number(report, "left"),
           json_is_true(json_object_get(report, "stopped")) ? " (stopped)" : "");
    if (*qn__get_text(report, "file")) printf("kept in %s\n", qn__get_text(report, "file"));
    if (qn__get_number(report, "left") > 0)
        printf("the same command with a larger --budget goes on\n");
}

static qn_status tune_model(const char *path, qn_device *device, const qn_tune_options *options,
                            char **text)
{
    qn_model *model = NULL;
    qn_status status = qn_model_load(device, path, &model);
    if (status == QN_OK) status = qn_model_tune(model, options, text);
    qn_model_destroy(&model);
    return status;
}

static int tune(const qn_args *args, const qn_train_options *train, const qn_tune_options *options)
{
    qn_device *device = NULL;
    char *text = NULL;
    static const char *const data[] = {"data", "text", "shards", "config"};
    const char *model = qn__arg(args, "model");
    for (int i = 0; i < 4; i++)
        if (qn__arg(args, data[i])) model = NULL; /* a run */
    int code = qn__open_device(qn__arg(args, "device"), false, &device);
    if (code != QN_GO_ON) return code;
    qn__signals_catch();
    qn_status status = model ? tune_model(model, device, options, &text)
                             : qn_train_tune(train, device, options, &text);
    qn__progress_end(false);
    json_t *report = NULL;
    if (status != QN_OK) code = qn__say_status(status);
    else if (!(report = qn__take_json(text))) code = 70;
    else if (qn__arg(args, "json")) code = qn__print_json(json_incref(report));
    else {
        print_report(report);
        code = QN_EXIT_OK;
    }
    if (code == QN_EXIT_OK && json_is_true(json_object_get(report, "stopped")))
        code = QN_EXIT_RETRY;
    json_decref(report);
    qn_device_close(&device);
    return code;
}

int qn__tune(const qn_command *self, int argc, char **argv)
{
    qn_args args;
    bool announced = false;
    double budget = 60;
    qn_train_options *train = NULL;
    int code = qn__args_parse(&args, self, qn__train_flags(own_flags), 0, argc, argv);
    if (code == QN_GO_ON) code = qn__arg_float(&args, "budget", 0.1, 1e6, &budget);
    if (code == QN_GO_ON) code = qn__train_options(&args, &train);
    if (code != QN_GO_ON) return code;
    const qn_tune_options options = {.size = sizeof options,
                                     .budget_seconds = budget,
                                     .again = qn__arg(&args, "again") != NULL,
                                     .progress = show,
                                     .user = &announced};
    code = tune(&args, train, &options);
    qn_train_options_destroy(&train);
    return code;
}
