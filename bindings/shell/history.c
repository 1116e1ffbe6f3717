/* What FOLDER/metrics.jsonl says. */
#include "chart.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool add_line(qn_history *h, json_t *line)
{
    double step = qn__get_number(line, "step"), seconds = qn__get_number(line, "seconds");
    if (!(step >= 0 && step <= 1e18)) return true;
    const struct {
        qn_points *points;
        const char *key;
    } curves[] = {{&h->loss, "loss"},
                  {&h->val, "val_loss"},
                  {&h->lr, "lr"},
                  {&h->grad_norm, "grad_norm"},
                  {&h->tokens_per_s, "tokens_per_s"},
                  {&h->mfu, "mfu"},
                  {&h->bytes, "device_bytes"},
                  {&h->loss_scale, "loss_scale"}};
    bool good = true;
    for (size_t i = 0; good && i < sizeof curves / sizeof curves[0]; i++)
        good = qn__points_add(curves[i].points, step, qn__get_number(line, curves[i].key));
    if (good && json_is_string(json_object_get(line, "sample")))
        good = json_array_append(h->samples, line) == 0;
    if (good && json_is_string(json_object_get(line, "skipped")))
        good = json_array_append(h->skipped, line) == 0;
    double steps = qn__get_number(line, "steps");
    h->step = (int64_t)step;
    h->steps = steps >= 0 && steps <= 1e18 ? (int64_t)steps : 0;
    if (seconds >= 0 && seconds < 1e12) h->seconds += seconds;
    return good;
}

int qn__history_read(const char *path, qn_history *history)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t bytes;
    *history = (qn_history){.samples = json_array(), .skipped = json_array()};
    bool good = history->samples && history->skipped;
    FILE *file = fopen(path, "rb");
    if (!file) {
        qn__history_free(history);
        return qn__say_error(QN_EXIT_OS, "%s: cannot open: %s", path, strerror(errno));
    }
    while (good && (bytes = getline(&text, &room, file)) > 0) {
        json_t *line = json_loadb(text, (size_t)bytes, 0, NULL);
        good = add_line(history, line);
        json_decref(line);
    }
    bool failed = ferror(file) != 0;
    fclose(file);
    free(text);
    good = good && qn__points_smooth(&history->loss, &history->smooth);
    if (good && !failed) return QN_GO_ON;
    qn__history_free(history);
    return qn__say_error(QN_EXIT_OS, "%s: %s", path, failed ? "cannot be read" : "out of memory");
}

void qn__history_free(qn_history *h)
{
    qn_points *all[] = {&h->loss,         &h->smooth, &h->val,   &h->lr,        &h->grad_norm,
                        &h->tokens_per_s, &h->mfu,    &h->bytes, &h->loss_scale};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) qn__points_free(all[i]);
    json_decref(h->samples);
    json_decref(h->skipped);
    *h = (qn_history){0};
}
