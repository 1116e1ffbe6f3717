/* FOLDER/metrics.jsonl: one JSON object a step, cut back to where a resumed run goes on. */
#include "shell.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

json_t *qn__step_json(const qn_step_info *info)
{
    json_t *line = json_object();
    json_object_set_new(line, "step", json_integer(info->step));
    json_object_set_new(line, "steps", json_integer(info->steps));
    json_object_set_new(line, "loss", qn__json_number(info->loss));
    if (isfinite(info->val_loss)) json_object_set_new(line, "val_loss", json_real(info->val_loss));
    json_object_set_new(line, "lr", qn__json_number(info->lr));
    json_object_set_new(line, "grad_norm", qn__json_number(info->grad_norm));
    json_object_set_new(line, "seconds", qn__json_number(info->seconds));
    json_object_set_new(line, "tokens_per_s", qn__json_number(info->tokens_per_s));
    json_object_set_new(line, "percent_of_peak", qn__json_number(info->percent_of_peak));
    json_object_set_new(line, "seconds_left", qn__json_number(info->seconds_left));
    json_object_set_new(line, "device_bytes", json_integer((json_int_t)info->device_bytes));
    json_object_set_new(line, "saved", json_boolean(info->saved));
    if (info->skipped) json_object_set_new(line, "skipped", json_string(info->skipped));
    return line;
}

/* The next whole line of `text` from *at as an object; NULL at the end or at a line that was cut
 * short. */
static json_t *next_line(const char *text, size_t bytes, size_t *at, size_t *begin)
{
    *begin = *at;
    const char *end = *at < bytes ? memchr(text + *at, '\n', bytes - *at) : NULL;
    if (!end) return NULL;
    size_t length = (size_t)(end - text) - *at;
    json_t *line = json_loadb(text + *at, length, 0, NULL);
    *at += length + 1;
    return line;
}

static int keep_steps_before(const char *path, int64_t first_step)
{
    char *text;
    size_t bytes, at = 0, begin = 0;
    json_t *line;
    int code = qn__read_file(path, &text, &bytes);
    if (code != QN_GO_ON) return code;
    while ((line = next_line(text, bytes, &at, &begin))) {
        bool later = json_integer_value(json_object_get(line, "step")) >= first_step;
        json_decref(line);
        if (later) break;
        begin = at;
    }
    if (begin < bytes) code = qn__write_file(path, text, begin);
    free(text);
    return code;
}

void qn__metrics_open(qn_metrics *metrics, const char *folder, int64_t first_step)
{
    size_t length = strlen(folder) + 32;
    *metrics = (qn_metrics){.path = malloc(length)};
    if (!metrics->path) {
        metrics->failed = true;
        return;
    }
    snprintf(metrics->path, length, "%s/metrics.jsonl", folder);
    mkdir(folder, 0777); /* there already, as a rule; if it cannot be made, fopen says so */
    if (access(metrics->path, F_OK) == 0)
        metrics->failed = keep_steps_before(metrics->path, first_step) != QN_GO_ON;
    if (!metrics->failed) metrics->file = fopen(metrics->path, "ab");
    if (metrics->failed || metrics->file) return;
    metrics->failed = true;
    qn__note("quernel: %s: cannot write: %s; training goes on without it", metrics->path,
             strerror(errno));
}

void qn__metrics_add(qn_metrics *metrics, const json_t *line)
{
    if (!metrics->file) return;
    off_t before = ftello(metrics->file);
    char *text = json_dumps(line, JSON_PRESERVE_ORDER | JSON_COMPACT);
    bool good = text && fprintf(metrics->file, "%s\n", text) > 0 && fflush(metrics->file) == 0;
    free(text);
    if (good) return;
    qn__note("quernel: %s: cannot write: %s; training goes on without it", metrics->path,
             strerror(errno));
    metrics->failed = true;
    fclose(metrics->file);
    metrics->file = NULL;
    if (before >= 0 && truncate(metrics->path, before) != 0) /* half a line is worse than none */
        qn__note("quernel: %s: its last line is cut short", metrics->path);
}

void qn__metrics_close(qn_metrics *metrics)
{
    if (metrics->file) fclose(metrics->file);
    free(metrics->path);
    *metrics = (qn_metrics){0};
}

int qn__metrics_chart(const qn_metrics *metrics, qn_chart *chart)
{
    char *text;
    size_t bytes, at = 0, begin;
    json_t *line;
    int code = qn__read_file(metrics->path, &text, &bytes);
    if (code != QN_GO_ON) return code;
    bool good = true;
    while (good && (line = next_line(text, bytes, &at, &begin))) {
        double step = qn__get_number(line, "step");
        good = qn__points_add(&chart->train, step, qn__get_number(line, "loss")) &&
               qn__points_add(&chart->val, step, qn__get_number(line, "val_loss"));
        json_decref(line);
    }
    free(text);
    good = good && qn__chart_smooth(chart);
    return good ? QN_GO_ON : qn__say_error(QN_EXIT_OS, "out of memory");
}
