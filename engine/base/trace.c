#include "base/trace.h"

#include "base/check.h"
#include "base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct qn_trace {
    pthread_mutex_t lock;
    double origin;
    int count;
    qn_trace_span spans[QN_TRACE_SPANS];
};

qn_status qn__trace_create(qn_trace **trace)
{
    *trace = calloc(1, sizeof **trace);
    if (!*trace) return qn__fail(QN_OS_ERROR, "out of memory");
    pthread_mutex_init(&(*trace)->lock, NULL);
    (*trace)->origin = qn__seconds();
    return QN_OK;
}

void qn__trace_destroy(qn_trace **trace)
{
    if (!*trace) return;
    pthread_mutex_destroy(&(*trace)->lock);
    free(*trace);
    *trace = NULL;
}

void qn__trace_add(qn_trace *trace, qn_track track, const char *name, double begin, double end,
                   uint64_t bytes)
{
    if (!trace) return;
    pthread_mutex_lock(&trace->lock);
    if (trace->count < QN_TRACE_SPANS) {
        qn_trace_span *span = &trace->spans[trace->count++];
        *span = (qn_trace_span){.track = track,
                                .begin = begin - trace->origin,
                                .end = end - trace->origin,
                                .bytes = bytes};
        snprintf(span->name, sizeof span->name, "%s", name);
    }
    pthread_mutex_unlock(&trace->lock);
}

const qn_trace_span *qn__trace_spans(qn_trace *trace, int *count)
{
    pthread_mutex_lock(&trace->lock);
    *count = trace->count;
    pthread_mutex_unlock(&trace->lock);
    return trace->spans;
}
