#include "train/timeline.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void note_job(void *user, const qn_comm_event *event)
{
    char name[36];
    if (event->opened > event->began)
        qn__trace_add(user, QN_TRACK_RANKS, "wait for the device", event->began, event->opened, 0);
    snprintf(name, sizeof name, "%s", event->name);
    qn__trace_add(user, QN_TRACK_RANKS, name,
                  event->opened > event->began ? event->opened : event->began, event->ended,
                  event->bytes);
}

qn_status qn__timeline_begin(qn_trainer *t)
{
    if (!*t->options->trace) return QN_OK;
    QN_TRY(qn__trace_create(&t->trace));
    t->training->trace = t->trace;
    t->comm->observe(t->comm, note_job, t->trace);
    return QN_OK;
}

static json_t *meta(int rank, int track, const char *what, const char *name)
{
    return json_pack("{s:s,s:s,s:i,s:i,s:{s:s}}", "name", what, "ph", "M", "pid", rank, "tid",
                     track, "args", "name", name);
}

static void add_rank(json_t *events, int rank, const qn_trace_span *spans, int count)
{
    static const char *const tracks[QN_TRACKS] = {"host", "device", "other ranks"};
    char name[32];
    snprintf(name, sizeof name, "rank %d", rank);
    json_array_append_new(events, meta(rank, 0, "process_name", name));
    for (int i = 0; i < QN_TRACKS; i++)
        json_array_append_new(events, meta(rank, i, "thread_name", tracks[i]));
    for (int i = 0; i < count; i++) {
        const qn_trace_span *s = &spans[i];
        json_t *event =
            json_pack("{s:s,s:s,s:i,s:i,s:f,s:f}", "name", s->name, "ph", "X", "pid", rank, "tid",
                      (int)s->track, "ts", s->begin * 1e6, "dur", (s->end - s->begin) * 1e6);
        if (event && s->bytes)
            json_object_set_new(event, "args", json_pack("{s:I}", "bytes", (json_int_t)s->bytes));
        json_array_append_new(events, event);
    }
}

static qn_status write_all(const qn_trainer *t, const qn_trace_span *spans, const int *counts,
                           int most)
{
    json_t *events = json_array(), *root = json_pack("{s:o}", "traceEvents", events);
    for (int r = 0; r < t->comm->size && root; r++)
        add_rank(events, r, spans + (size_t)r * (size_t)most, counts[r]);
    qn_status status =
        root ? qn__json_save(t->options->trace, root) : qn__fail(QN_OS_ERROR, "out of memory");
    json_decref(root);
    return status;
}

qn_status qn__timeline_write(qn_trainer *t)
{
    int most = 0, count;
    if (!t->trace) return QN_OK;
    t->comm->observe(t->comm, NULL, NULL);
    const qn_trace_span *mine = qn__trace_spans(t->trace, &count);
    int *counts = calloc((size_t)t->comm->size, sizeof *counts);
    if (!counts) return qn__fail(QN_OS_ERROR, "out of memory");
    qn_status status = qn__all_gather(t->comm, &count, sizeof count, counts);
    for (int r = 0; r < t->comm->size; r++)
        if (counts[r] > most) most = counts[r];
    qn_trace_span *all = malloc(((size_t)t->comm->size * (size_t)most + 1) * sizeof *all);
    if (status == QN_OK && !all) status = qn__fail(QN_OS_ERROR, "out of memory");
    if (status == QN_OK) /* spans past this rank's last are there, and empty */
        status = qn__all_gather(t->comm, mine, (uint64_t)most * sizeof *mine, all);
    if (status == QN_OK && t->comm->rank == 0) status = write_all(t, all, counts, most);
    free(all);
    free(counts);
    return t->comm->agree(t->comm, status);
}
