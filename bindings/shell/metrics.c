/* FOLDER/metrics.jsonl, which the library writes: one JSON object a step. */
#include "shell.h"

#include <stdlib.h>
#include <string.h>

/* The next whole line of `text` from *at as an object; NULL at the end or at a line that was cut
 * short. */
static json_t *next_line(const char *text, size_t bytes, size_t *at)
{
    const char *end = *at < bytes ? memchr(text + *at, '\n', bytes - *at) : NULL;
    if (!end) return NULL;
    size_t length = (size_t)(end - text) - *at;
    json_t *line = json_loadb(text + *at, length, 0, NULL);
    *at += length + 1;
    return line;
}

int qn__metrics_chart(const char *path, qn_chart *chart)
{
    char *text;
    size_t bytes, at = 0;
    json_t *line;
    int code = qn__read_file(path, &text, &bytes);
    if (code != QN_GO_ON) return code;
    bool good = true;
    while (good && (line = next_line(text, bytes, &at))) {
        double step = qn__get_number(line, "step");
        good = qn__points_add(&chart->train, step, qn__get_number(line, "loss")) &&
               qn__points_add(&chart->val, step, qn__get_number(line, "val_loss"));
        json_decref(line);
    }
    free(text);
    good = good && qn__chart_smooth(chart);
    return good ? QN_GO_ON : qn__say_error(QN_EXIT_OS, "out of memory");
}
