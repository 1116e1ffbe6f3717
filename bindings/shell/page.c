/* quernel report: the pages of a run, from what lies in its folder. */
#include "html.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int qn__report(const qn_command *self, int argc, char **argv);

static const qn_flag flags[] = {
    {"run", "DIR", "the folder that `quernel train --out` wrote"},
    QN_FLAG_JSON,
    {0},
};

/* NULL when it is not there, or no JSON: the page then lacks a part. */
static json_t *read_object(const char *folder, const char *name)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path) return NULL;
    json_t *object = json_load_file(path, 0, NULL);
    if (json_is_object(object)) return object;
    json_decref(object);
    return NULL;
}

static int write_text(const char *folder, const char *name, const char *text, size_t bytes)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path)
        return qn__say_error(QN_EXIT_WRITE, "%s: the path is too long", folder);
    return qn__write_file(path, text, bytes);
}

static void put_loss(FILE *out, const qn_report *report)
{
    char title[512];
    snprintf(title, sizeof title, "loss of %s", report->folder);
    qn_panel panel = qn__loss_panel(report->history, title, 860, 460);
    qn__panel_svg(out, &panel);
}

static void put_page(FILE *out, const qn_report *report)
{
    qn__html_begin(out, report);
    qn__html_figures(out, report);
    qn__html_curves(out, report);
    qn__html_samples(out, report);
    qn__html_skipped(out, report);
    qn__html_checkpoints(out, report);
    qn__html_configuration(out, report);
    qn__html_machine(out, report);
    qn__html_end(out);
}

static int write_page(const qn_report *report, const char *name,
                      void (*put)(FILE *out, const qn_report *report))
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (!out) return qn__say_error(QN_EXIT_OS, "out of memory");
    put(out, report);
    bool good = fclose(out) == 0 && text;
    int code = good ? write_text(report->folder, name, text, bytes)
                    : qn__say_error(QN_EXIT_OS, "out of memory");
    free(text);
    return code;
}

int qn__write_pages(const char *folder, const qn_history *history)
{
    qn_report report = {.folder = folder,
                        .history = history,
                        .keys = read_object(folder, "train.json"),
                        .run = read_object(folder, "run.json")};
    int code = write_page(&report, "loss.svg", put_loss);
    if (code == QN_GO_ON) code = write_page(&report, "report.html", put_page);
    json_decref(report.keys);
    json_decref(report.run);
    return code;
}

int qn__report(const qn_command *self, int argc, char **argv)
{
    qn_args args;
    const char *folder;
    char path[4096];
    qn_history history = {0};
    int code = qn__args_parse(&args, self, flags, 0, argc, argv);
    if (code == QN_GO_ON) code = qn__arg_need(&args, "run", &folder);
    if (code != QN_GO_ON) return code;
    if ((size_t)snprintf(path, sizeof path, "%s/metrics.jsonl", folder) >= sizeof path)
        return qn__say_error(QN_EXIT_USAGE, "%s: the path is too long", folder);
    code = qn__history_read(path, &history);
    if (code == QN_GO_ON && history.loss.count == 0)
        code = qn__say_error(65, "%s has no step in it: nothing to show", path);
    if (code == QN_GO_ON) code = qn__write_pages(folder, &history);
    if (code == QN_GO_ON && qn__arg(&args, "json"))
        code = qn__print_json(json_pack("{s:I,s:I,s:s+,s:s+}", "step", (json_int_t)history.step,
                                        "steps", (json_int_t)history.steps, "report", folder,
                                        "/report.html", "curve", folder, "/loss.svg"));
    else if (code == QN_GO_ON) {
        qn__chart_term(&history, folder, stdout, qn__term_columns());
        printf("report: %s/report.html\ncurve:  %s/loss.svg\n", folder, folder);
        code = QN_EXIT_OK;
    }
    qn__history_free(&history);
    return code;
}
