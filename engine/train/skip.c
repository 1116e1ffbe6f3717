#include "train/skip.h"

#include "base/check.h"
#include "base/fs.h"
#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- windows ---- */

double qn__outliers_add(qn_outliers *window, double value)
{
    double sum = 0, squares = 0, z = NAN;
    if (window->count == QN_OUTLIER_WINDOW) { /* two passes: no sum that drifts */
        for (int i = 0; i < QN_OUTLIER_WINDOW; i++) sum += window->value[i];
        double mean = sum / QN_OUTLIER_WINDOW;
        for (int i = 0; i < QN_OUTLIER_WINDOW; i++)
            squares += (window->value[i] - mean) * (window->value[i] - mean);
        double deviation = sqrt(squares / QN_OUTLIER_WINDOW);
        z = deviation > 0 ? (value - mean) / deviation : 0;
    } else {
        window->count++;
    }
    window->value[window->next] = value;
    window->next = (window->next + 1) % QN_OUTLIER_WINDOW;
    return z;
}

/* Sums run over the ring from its start, so the ring is kept turned as it is. */
json_t *qn__outliers_to_json(const qn_outliers *window)
{
    json_t *values = json_array();
    for (int i = 0; values && i < window->count; i++)
        json_array_append_new(values, json_real(window->value[i]));
    json_t *json = json_pack("{s:i,s:o?}", "next", window->next, "values", values);
    if (json && json_array_size(values) == (size_t)window->count) return json;
    json_decref(json);
    return NULL;
}

qn_status qn__outliers_from_json(qn_outliers *window, const json_t *state, const char *origin,
                                 const char *key)
{
    const json_t *json = json_object_get(state, key), *values = json_object_get(json, "values");
    int64_t next = 0;
    *window = (qn_outliers){0};
    if (!json) return QN_OK;
    size_t count = json_array_size(values);
    QN_TRY(qn__json_i64(json, origin, "next", true, 0, QN_OUTLIER_WINDOW - 1, &next));
    if (!json_is_array(values) || count > QN_OUTLIER_WINDOW ||
        (count < QN_OUTLIER_WINDOW && (size_t)next != count))
        return qn__fail(QN_BAD_DATA, "%s: \"%s\" has %zu values and goes on at %lld", origin, key,
                        count, (long long)next);
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(values, i);
        if (!json_is_number(value))
            return qn__fail(QN_BAD_DATA, "%s: value %zu of \"%s\" is not a number", origin, i, key);
        window->value[i] = json_number_value(value);
    }
    window->count = (int)count;
    window->next = (int)next;
    return QN_OK;
}

/* ---- the verdict ---- */

qn_status qn__skips_judge(qn_skips *skips, const qn_skip_limits *limits, double loss, double norm,
                          double z[2])
{
    skips->why[0] = 0;
    z[0] = z[1] = NAN;
    if (!isfinite(loss) || !isfinite(norm)) {
        snprintf(skips->why, sizeof skips->why, "the loss is %g and the gradient's norm %g", loss,
                 norm);
        if (skips->in_a_row >= limits->in_a_row)
            return qn__fail(QN_NON_FINITE, "%s, after %lld such steps in a row that were skipped",
                            skips->why, (long long)skips->in_a_row);
        skips->in_a_row++;
        return QN_OK;
    }
    skips->in_a_row = 0;
    z[0] = qn__outliers_add(&skips->loss, loss);
    z[1] = qn__outliers_add(&skips->norm, norm);
    if (limits->loss_z > 0 && z[0] > limits->loss_z)
        snprintf(skips->why, sizeof skips->why, "the loss %.6g is %.3g standard deviations high",
                 loss, z[0]);
    else if (limits->norm_z > 0 && z[1] > limits->norm_z)
        snprintf(skips->why, sizeof skips->why,
                 "the gradient's norm %.6g is %.3g standard deviations high", norm, z[1]);
    return QN_OK;
}

/* ---- the record ---- */

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static char *path_of(const char *folder)
{
    return qn__path_join(folder, "skipped.jsonl");
}

void qn__skips_record(const qn_skips *skips, const char *folder, int64_t step, double loss,
                      double norm, const double z[2])
{
    json_t *line = json_pack("{s:I,s:o,s:o,s:o,s:o,s:s}", "step", (json_int_t)step, "loss",
                             number(loss), "grad_norm", number(norm), "loss_z", number(z[0]),
                             "grad_z", number(z[1]), "why", skips->why);
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    char *path = path_of(folder);
    FILE *file = path ? fopen(path, "ab") : NULL;
    bool good = file && text && fprintf(file, "%s\n", text) > 0;
    if (file && fclose(file) != 0) good = false;
    if (!good)
        qn__log(QN_LOG_WARN, "%s: cannot write: %s; step %lld was skipped: %s",
                path ? path : folder, strerror(errno), (long long)step, skips->why);
    json_decref(line);
    free(text);
    free(path);
}

/* Bytes of the whole lines at the start of `text` that speak of steps up to `step`. */
static size_t lines_up_to(const char *text, size_t bytes, int64_t step)
{
    size_t kept = 0;
    while (kept < bytes) {
        const char *end = memchr(text + kept, '\n', bytes - kept);
        if (!end) break; /* cut short */
        json_t *line = json_loadb(text + kept, (size_t)(end - text) - kept, 0, NULL);
        bool good = line && json_integer_value(json_object_get(line, "step")) <= step;
        json_decref(line);
        if (!good) break;
        kept = (size_t)(end - text) + 1;
    }
    return kept;
}

qn_status qn__skips_cut(const char *folder, int64_t step)
{
    char *path = path_of(folder), *text = NULL;
    size_t bytes = 0;
    if (!path) return qn__fail(QN_OS_ERROR, "out of memory");
    qn_status status = QN_OK;
    if (qn__is_file(path)) {
        status = qn__file_read(path, &text, &bytes);
        size_t kept = status == QN_OK ? lines_up_to(text, bytes, step) : bytes;
        if (kept < bytes) status = qn__file_replace(path, text, kept);
    }
    free(text);
    free(path);
    return status;
}
