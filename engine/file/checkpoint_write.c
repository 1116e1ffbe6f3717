/* Writing checkpoints. The order of the steps is the whole point; see checkpoint.h. */
#include "base/check.h"
#include "base/fs.h"
#include "base/log.h"
#include "file/checkpoint_internal.h"
#include "file/name_index.h"
#include "file/writer.h"

#include <errno.h>
#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_STEP_DIGITS = 18 };

struct qn_checkpoint_writer {
    char *run;
    char *folder; /* step-N.tmp */
    char *final;  /* step-N */
    char *old;    /* step-N.old */
    int64_t step;
    json_t *records;
    bool joined;
};

static qn_status no_memory(const char *run)
{
    return qn__fail(QN_OS_ERROR, "%s: out of memory", run);
}

static void destroy(qn_checkpoint_writer **writer)
{
    qn_checkpoint_writer *old = *writer;
    if (!old) return;
    json_decref(old->records);
    free(old->run);
    free(old->folder);
    free(old->final);
    free(old->old);
    free(old);
    *writer = NULL;
}

static qn_status create(const char *run, int64_t step, bool joined, qn_checkpoint_writer **writer)
{
    *writer = NULL;
    QN_CHECK(step >= 0 && step < 1000000000000000000LL, "%s: step %lld is outside [0, 10^%d)", run,
             (long long)step, MAX_STEP_DIGITS);
    qn_checkpoint_writer *made = calloc(1, sizeof *made);
    if (!made) return no_memory(run);
    made->step = step;
    made->joined = joined;
    made->run = strdup(run);
    made->records = json_array();
    qn_status status = made->run && made->records ? QN_OK : no_memory(run);
    if (status == QN_OK) status = qn__checkpoint_path(run, step, QN_STEP_TMP, &made->folder);
    if (status == QN_OK) status = qn__checkpoint_path(run, step, QN_STEP_WHOLE, &made->final);
    if (status == QN_OK) status = qn__checkpoint_path(run, step, QN_STEP_OLD, &made->old);
    if (status != QN_OK) destroy(&made);
    *writer = made;
    return status;
}

/* The run's own folder must last too, or a power cut takes it with all it holds: each folder that
 * is made is synced into its parent. */
static qn_status make_run_folder(const char *run)
{
    const qn_file_ops *ops = qn__file_ops();
    if (qn__is_folder(run)) return QN_OK;
    char *copy = strdup(run);
    if (!copy) return no_memory(run);
    const char *parent = dirname(copy);
    qn_status status = make_run_folder(parent);
    if (status == QN_OK && ((ops->make_folder(ops->user, run) != 0 && errno != EEXIST) ||
                            ops->sync_folder(ops->user, parent) != 0))
        status = qn__fail(QN_CANNOT_WRITE, "cannot make folder %s: %s", run, strerror(errno));
    free(copy);
    return status;
}

/* What a crash can leave: unfinished folders, and an .old one whose successor is right. */
static qn_status remove_leftovers(const char *run)
{
    qn_step_folder *steps;
    size_t count;
    QN_TRY(qn__checkpoint_scan(run, &steps, &count));
    qn_status status = QN_OK;
    for (size_t i = 0; i < count && status == QN_OK; i++) {
        char *path = NULL, *whole = NULL;
        if (steps[i].kind == QN_STEP_WHOLE) continue;
        status = qn__checkpoint_path(run, steps[i].step, steps[i].kind, &path);
        if (status == QN_OK)
            status = qn__checkpoint_path(run, steps[i].step, QN_STEP_WHOLE, &whole);
        if (status == QN_OK && (steps[i].kind == QN_STEP_TMP ||
                                qn__checkpoint_check(whole, steps[i].step, NULL) == QN_OK)) {
            qn__log(QN_LOG_INFO, "removing %s, left by a save that did not finish", path);
            status = qn__checkpoint_remove(path);
        }
        free(path);
        free(whole);
    }
    free(steps);
    return status;
}

qn_status qn__checkpoint_begin(const char *run, int64_t step, qn_checkpoint_writer **writer)
{
    const qn_file_ops *ops = qn__file_ops();
    QN_TRY(create(run, step, false, writer));
    qn_status status = make_run_folder(run);
    if (status == QN_OK) status = remove_leftovers(run);
    if (status == QN_OK && ops->make_folder(ops->user, (*writer)->folder) != 0)
        status = qn__fail(QN_CANNOT_WRITE, "cannot make folder %s: %s", (*writer)->folder,
                          strerror(errno));
    if (status != QN_OK) destroy(writer);
    return status;
}

qn_status qn__checkpoint_join(const char *run, int64_t step, qn_checkpoint_writer **writer)
{
    QN_TRY(create(run, step, true, writer));
    if (qn__is_folder((*writer)->folder)) return QN_OK;
    qn_status status = qn__fail(QN_CANNOT_WRITE,
                                "%s is not there: do all ranks see the same file "
                                "system?",
                                (*writer)->folder);
    destroy(writer);
    return status;
}

void qn__checkpoint_leave(qn_checkpoint_writer **writer)
{
    destroy(writer);
}

qn_status qn__checkpoint_payload(qn_checkpoint_writer *writer, const char *name,
                                 qn_safetensors_writer **payload)
{
    *payload = NULL;
    QN_CHECK(qn__name_is_plain(name) && strcmp(name, QN_MANIFEST) != 0,
             "\"%s\" cannot be the name of a checkpoint's file", name);
    char *path = qn__path_join(writer->folder, name);
    if (!path) return no_memory(writer->run);
    qn_status status = qn__safetensors_writer_create(path, payload);
    free(path);
    return status;
}

qn_status qn__checkpoint_payload_end(qn_checkpoint_writer *writer, qn_safetensors_writer **payload)
{
    json_t *record = NULL;
    qn_status status = qn__safetensors_writer_record(*payload, &record);
    if (status == QN_OK) status = qn__safetensors_writer_finish(payload);
    qn__safetensors_writer_destroy(payload);
    if (status == QN_OK && json_array_append(writer->records, record) != 0)
        status = no_memory(writer->run);
    json_decref(record);
    return status;
}

const json_t *qn__checkpoint_records(const qn_checkpoint_writer *writer)
{
    return writer->records;
}

qn_status qn__checkpoint_add_records(qn_checkpoint_writer *writer, const json_t *records)
{
    QN_CHECK(json_is_array(records), "%s: another rank's records are not a list", writer->folder);
    if (json_array_extend(writer->records, (json_t *)(uintptr_t)records) != 0)
        return no_memory(writer->run);
    return QN_OK;
}

static qn_status write_manifest(const qn_checkpoint_writer *writer, const json_t *state)
{
    char hash[QN_HASH_TEXT], *text = NULL, *path = qn__path_join(writer->folder, QN_MANIFEST);
    json_t *manifest = json_pack("{s:s, s:i, s:I, s:O, s:O}", "format", QN_MANIFEST_FORMAT,
                                 "version", QN_MANIFEST_VERSION, "step", (json_int_t)writer->step,
                                 "files", writer->records, "state", state);
    qn_status status =
        manifest && path ? qn__checkpoint_manifest_hash(manifest, hash) : no_memory(writer->run);
    if (status == QN_OK && (json_object_set_new(manifest, "hash", json_string(hash)) != 0 ||
                            !(text = json_dumps(manifest, JSON_INDENT(1) | JSON_PRESERVE_ORDER))))
        status = no_memory(writer->run);
    if (status == QN_OK) status = qn__write_file(path, text, strlen(text));
    json_decref(manifest);
    free(text);
    free(path);
    return status;
}

static qn_status move(const qn_checkpoint_writer *writer, const char *from, const char *to)
{
    const qn_file_ops *ops = qn__file_ops();
    if (ops->rename(ops->user, from, to) != 0)
        return qn__fail(QN_CANNOT_WRITE, "cannot rename %s to %s: %s", from, to, strerror(errno));
    if (ops->sync_folder(ops->user, writer->run) != 0)
        return qn__fail(QN_CANNOT_WRITE, "cannot sync %s: %s", writer->run, strerror(errno));
    return QN_OK;
}

/* Is there anything of that name? (Not qn__is_folder: a dangling link is in the way as well.) */
static bool exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

/* Make room for the final name. The one that is there steps aside, unless an .old one is there too:
 * remove_leftovers kept that because the other is damaged, so the damaged one goes. */
static qn_status step_aside(const qn_checkpoint_writer *writer)
{
    if (!exists(writer->final)) return QN_OK;
    if (exists(writer->old)) return qn__checkpoint_remove(writer->final);
    return move(writer, writer->final, writer->old);
}

qn_status qn__checkpoint_commit(qn_checkpoint_writer **writer, const json_t *state)
{
    qn_checkpoint_writer *made = *writer;
    if (made->joined || !json_is_object(state)) {
        qn__checkpoint_abort(writer);
        return qn__fail(QN_BAD_ARGUMENT, "a checkpoint is committed by rank 0, with an object");
    }
    qn_status status = write_manifest(made, state);
    if (status == QN_OK) status = step_aside(made);
    if (status == QN_OK) status = move(made, made->folder, made->final);
    if (status == QN_OK && exists(made->old) && qn__checkpoint_remove(made->old) != QN_OK)
        qn__log(QN_LOG_WARN, "%s", qn_last_error()); /* the next save tries again */
    if (status != QN_OK) qn__checkpoint_abort(writer);
    destroy(writer);
    return status;
}

/* Keeps the message of the failure that led here. */
void qn__checkpoint_abort(qn_checkpoint_writer **writer)
{
    qn_checkpoint_writer *old = *writer;
    if (!old) return;
    char *message = strdup(qn_last_error());
    if (!old->joined && exists(old->folder) && qn__checkpoint_remove(old->folder) != QN_OK)
        qn__log(QN_LOG_WARN, "%s", qn_last_error());
    if (!old->joined && !exists(old->final) && exists(old->old))
        if (move(old, old->old, old->final) != QN_OK) qn__log(QN_LOG_WARN, "%s", qn_last_error());
    if (message) qn__fail(QN_OK, "%s", message);
    free(message);
    destroy(writer);
}

/* Whole, and how good. */
typedef struct rated {
    bool whole;
    double value; /* infinity: its state does not say */
} rated;

static rated rate(const char *path, int64_t step, const char *best)
{
    json_t *manifest = NULL;
    rated r = {.whole = qn__checkpoint_check(path, step, &manifest) == QN_OK, .value = INFINITY};
    const json_t *value = best ? json_object_get(json_object_get(manifest, "state"), best) : NULL;
    if (json_is_number(value) && isfinite(json_number_value(value)))
        r.value = json_number_value(value);
    json_decref(manifest);
    return r;
}

/* Remove what is neither among the newest `keep` whole ones nor the best. */
static qn_status trim(const char *run, int keep, const qn_step_folder *steps, const rated *rates,
                      size_t count)
{
    double lowest = INFINITY;
    int kept = 0;
    for (size_t i = 0; i < count; i++)
        if (rates[i].whole && rates[i].value < lowest) lowest = rates[i].value;
    for (size_t i = 0; i < count; i++) {
        char *path = NULL;
        if (steps[i].kind == QN_STEP_TMP) continue;
        bool best = rates[i].whole && rates[i].value == lowest && lowest < INFINITY;
        if (best) lowest = -INFINITY; /* the newest of equals only */
        bool newest = kept < keep;
        kept += newest && rates[i].whole;
        if (best || newest) continue;
        QN_TRY(qn__checkpoint_path(run, steps[i].step, steps[i].kind, &path));
        qn_status status = qn__checkpoint_remove(path);
        free(path);
        QN_TRY(status);
    }
    return QN_OK;
}

qn_status qn__checkpoint_trim(const char *run, int keep, const char *best)
{
    qn_step_folder *steps;
    size_t count;
    QN_CHECK(keep >= 1, "cannot keep %d checkpoints: at least 1", keep);
    QN_TRY(qn__checkpoint_scan(run, &steps, &count));
    rated *rates = calloc(count + 1, sizeof *rates);
    qn_status status = rates ? QN_OK : no_memory(run);
    for (size_t i = 0; i < count && status == QN_OK; i++) {
        char *path = NULL;
        if (steps[i].kind == QN_STEP_TMP) continue;
        status = qn__checkpoint_path(run, steps[i].step, steps[i].kind, &path);
        if (status == QN_OK) rates[i] = rate(path, steps[i].step, best);
        free(path);
    }
    if (status == QN_OK) status = trim(run, keep, steps, rates, count);
    free(rates);
    free(steps);
    return status;
}
