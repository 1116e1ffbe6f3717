/* What happened when: spans on a few tracks, noted by any thread, for a timeline. */
#ifndef QN_BASE_TRACE_H
#define QN_BASE_TRACE_H

#include <quernel/status.h>
#include <stdint.h>

typedef enum qn_track { QN_TRACK_HOST, QN_TRACK_DEVICE, QN_TRACK_RANKS, QN_TRACKS } qn_track;

typedef struct qn_trace_span {
    char name[36];
    int32_t track;
    double begin, end; /* seconds since the trace was made */
    uint64_t bytes;    /* 0: none are moved */
} qn_trace_span;

enum { QN_TRACE_SPANS = 1 << 15 }; /* what comes after so many is not noted */

typedef struct qn_trace qn_trace;

qn_status qn__trace_create(qn_trace **trace) QN_MUST_USE;
void qn__trace_destroy(qn_trace **trace);
/* From `begin` to `end`, as qn__seconds. trace NULL: nothing. */
void qn__trace_add(qn_trace *trace, qn_track track, const char *name, double begin, double end,
                   uint64_t bytes);
/* What was noted so far; valid as long as the trace. */
const qn_trace_span *qn__trace_spans(qn_trace *trace, int *count);

#endif
