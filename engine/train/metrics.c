#include "train/metrics.h"

#include "base/check.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum metric_type { METRIC_NUMBER, METRIC_INTEGER, METRIC_FLAG } metric_type;
typedef enum metric_when { METRIC_ALWAYS, METRIC_IF_FINITE } metric_when;

static const struct row {
    const char *key;
    metric_type type;
    const char *tag;
    metric_when when;
} rows[] = {
#define QN_METRIC(key, type, tag, when, value) {#key, METRIC_##type, tag, METRIC_##when},
#include "train/metric_list.def"
#undef QN_METRIC
};

enum { ROWS = sizeof rows / sizeof rows[0] };

static double value_of(const qn_step_info *info, int i)
{
    const double values[] = {
#define QN_METRIC(key, type, tag, when, value) (double)(value),
#include "train/metric_list.def"
#undef QN_METRIC
    };
    return values[i];
}

bool qn__metric(const qn_step_info *info, int i, qn_metric *metric)
{
    if (i < 0 || i >= ROWS) return false;
    double value = value_of(info, i);
    *metric = (qn_metric){.key = rows[i].key,
                          .tag = rows[i].tag,
                          .there = rows[i].when == METRIC_ALWAYS || isfinite(value),
                          .value = value};
    return true;
}

qn_status qn__step_info_take(const qn_step_info *given, qn_step_info *info)
{
    const size_t least = offsetof(qn_step_info, mfu);
    QN_CHECK(given->size >= least, "qn_step_info.size is %u: set it to sizeof(qn_step_info)",
             given->size);
    *info = (qn_step_info){.mfu = NAN, .loss_scale = NAN, .sent_bytes = NAN};
    memcpy(info, given, given->size < sizeof *info ? given->size : sizeof *info);
    info->size = sizeof *info;
    return QN_OK;
}

double qn__run_flops_per_token(const qn_model_config *config, const qn_lora *lora, int64_t length)
{
    double matrices = qn__matrix_elements(config), attention = qn__attention_flops(config, length);
    if (!lora || lora->rank == 0) return 6 * matrices + attention;
    return 4 * matrices + 6 * (double)qn__trainable_parameters(config, lora) + attention;
}

double qn__run_peak_gflops(const qn_caps *caps, qn_dtype type)
{
    bool has = type == QN_BF16 || (type == QN_F16 && caps->type != QN_CPU);
    bool matrix_unit = has && caps->peak_matrix_gflops > 0;
    return matrix_unit ? caps->peak_matrix_gflops : caps->peak_gflops;
}

static json_t *value_json(const struct row *row, double value)
{
    if (!isfinite(value)) return json_null(); /* JSON has no NaN */
    if (row->type == METRIC_INTEGER && fabs(value) < 0x1p63)
        return json_integer((json_int_t)value); /* steps and bytes, below 2^53 */
    return json_real(value);
}

/* A new reference; NULL when out of memory. */
static json_t *line_of(const qn_step_info *info)
{
    qn_metric metric;
    json_t *line = json_object();
    bool good = line && json_object_set_new(line, "step", json_integer(info->step)) == 0;
    for (int i = 0; good && qn__metric(info, i, &metric); i++)
        if (metric.there && rows[i].type != METRIC_FLAG)
            good = json_object_set_new(line, metric.key, value_json(&rows[i], metric.value)) == 0;
    if (good && info->skipped)
        good = json_object_set_new(line, "skipped", json_string(info->skipped)) == 0;
    if (good && info->sample)
        good = json_object_set_new(line, "sample", json_string(info->sample)) == 0;
    if (good) return line;
    json_decref(line);
    return NULL;
}

static char *line_text(const qn_step_info *info)
{
    json_t *line = line_of(info);
    char *text = line ? json_dumps(line, JSON_PRESERVE_ORDER | JSON_COMPACT) : NULL;
    json_decref(line);
    return text;
}

qn_status qn_step_info_json(const qn_step_info *info, char **json)
{
    qn_step_info all;
    *json = NULL;
    QN_TRY(qn__step_info_take(info, &all));
    *json = line_text(&all);
    return *json ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
}

/* ---- the file ---- */

struct qn_metrics {
    char *path;
    int fd;
    off_t bytes;
};

/* The step of a line, or -1: not a line of ours. */
static int64_t step_of(const char *line, size_t bytes)
{
    json_t *object = json_loadb(line, bytes, 0, NULL);
    const json_t *step = json_object_get(object, "step");
    int64_t number = json_is_integer(step) ? json_integer_value(step) : -1;
    json_decref(object);
    return number;
}

/* Bytes up to the end of the last whole line of a step not after `done`. Steps ascend, so only what
 * is cut off is parsed. */
static size_t bytes_to_keep(const char *text, size_t bytes, int64_t done)
{
    while (bytes > 0) {
        const char *newline = memrchr(text, '\n', bytes);
        if (!newline) return 0; /* only a line that was cut short */
        size_t end = (size_t)(newline - text), begin = end;
        while (begin > 0 && text[begin - 1] != '\n') begin--;
        int64_t step = step_of(text + begin, end - begin);
        if (step >= 0 && step <= done) return end + 1;
        bytes = begin;
    }
    return 0;
}

static qn_status cut_back(const qn_metrics *metrics, int64_t done, off_t *keep)
{
    qn_map map;
    *keep = 0;
    if (done > 0) {
        QN_TRY(qn__map_open(metrics->path, &map));
        if (map.bytes > 0) *keep = (off_t)bytes_to_keep((const char *)map.data, map.bytes, done);
        qn__map_close(&map);
    }
    if (ftruncate(metrics->fd, *keep) == 0) return QN_OK;
    return qn__fail(QN_OS_ERROR, "%s: cannot be cut back to step %lld: %s", metrics->path,
                    (long long)done, strerror(errno));
}

qn_status qn__metrics_open(const char *folder, int64_t done, qn_metrics **metrics)
{
    *metrics = NULL;
    qn_metrics *made = calloc(1, sizeof *made);
    if (!made) return qn__fail(QN_OS_ERROR, "out of memory");
    made->fd = -1;
    made->path = qn__path_join(folder, "metrics.jsonl");
    qn_status status = made->path ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
    if (status == QN_OK) {
        made->fd = open(made->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (made->fd < 0)
            status = qn__fail(QN_OS_ERROR, "%s: cannot write: %s", made->path, strerror(errno));
    }
    if (status == QN_OK) status = cut_back(made, done, &made->bytes);
    if (status != QN_OK) qn__metrics_close(&made);
    *metrics = made;
    return status;
}

static bool write_whole(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t wrote = write(fd, text, bytes);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return false;
        text += wrote;
        bytes -= (size_t)wrote;
    }
    return true;
}

qn_status qn__metrics_add(qn_metrics *metrics, const qn_step_info *info)
{
    char *text = line_text(info);
    if (!text) return qn__fail(QN_OS_ERROR, "out of memory");
    size_t bytes = strlen(text);
    text[bytes] = '\n'; /* in place of the NUL: one write */
    bool good = write_whole(metrics->fd, text, bytes + 1);
    int problem = errno;
    free(text);
    if (good) {
        metrics->bytes += (off_t)bytes + 1;
        return QN_OK;
    }
    bool whole = ftruncate(metrics->fd, metrics->bytes) == 0; /* half a line is worse than none */
    return qn__fail(QN_OS_ERROR, "%s: cannot write: %s%s", metrics->path, strerror(problem),
                    whole ? "" : "; its last line is cut short");
}

qn_status qn__metrics_sync(qn_metrics *metrics)
{
    if (fdatasync(metrics->fd) == 0 || errno == EINVAL) return QN_OK;
    return qn__fail(QN_OS_ERROR, "%s: cannot write: %s", metrics->path, strerror(errno));
}

void qn__metrics_close(qn_metrics **metrics)
{
    qn_metrics *old = *metrics;
    if (!old) return;
    if (old->fd >= 0) close(old->fd);
    free(old->path);
    free(old);
    *metrics = NULL;
}
