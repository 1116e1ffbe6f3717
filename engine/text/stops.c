/* Holding text back while it may still become a stop string. */
#include "base/check.h"
#include "base/str.h"

#include <quernel/text.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 4096 };

struct qn_stops {
    char **string;
    size_t count;
    qn_str held, out;
    bool found;
};

qn_status qn_stops_create(const char *const *strings, size_t count, qn_stops **stops)
{
    QN_CHECK(stops && (strings || count == 0), "qn_stops_create: a pointer is NULL");
    *stops = NULL;
    for (size_t i = 0; i < count; i++)
        QN_CHECK(strings[i] && *strings[i] && strlen(strings[i]) <= LONGEST,
                 "a stop string is empty or longer than %d bytes", LONGEST);
    qn_stops *made = calloc(1, sizeof *made);
    if (made) made->string = calloc(count + 1, sizeof *made->string);
    for (size_t i = 0; made && made->string && i < count; i++) {
        made->string[i] = strdup(strings[i]);
        made->count += made->string[i] != NULL;
    }
    if (!made || !made->string || made->count < count) {
        qn_stops_destroy(&made);
        return qn__fail(QN_OS_ERROR, "out of memory for stop strings");
    }
    *stops = made;
    return QN_OK;
}

void qn_stops_destroy(qn_stops **stops)
{
    if (!stops || !*stops) return;
    for (size_t i = 0; (*stops)->string && i < (*stops)->count; i++) free((*stops)->string[i]);
    free((*stops)->string);
    qn__str_free(&(*stops)->held);
    qn__str_free(&(*stops)->out);
    free(*stops);
    *stops = NULL;
}

/* Does a stop string begin at the start of the text (*whole: all of it is there)? */
static bool begins(const qn_stops *stops, const char *text, size_t bytes, bool *whole)
{
    bool any = false;
    *whole = false;
    for (size_t i = 0; i < stops->count; i++) {
        size_t length = strlen(stops->string[i]), most = length < bytes ? length : bytes;
        if (memcmp(stops->string[i], text, most) != 0) continue;
        any = true;
        *whole = *whole || most == length;
    }
    return any;
}

/* Move the first `bytes` of what is held to the output, and drop them. */
static qn_status release(qn_stops *stops, size_t bytes, const char **out, size_t *out_bytes)
{
    stops->out.length = 0;
    qn__str_add_bytes(&stops->out, stops->held.data ? stops->held.data : "", bytes);
    if (stops->out.failed || stops->held.failed)
        return qn__fail(QN_OS_ERROR, "out of memory for text");
    if (bytes) memmove(stops->held.data, stops->held.data + bytes, stops->held.length - bytes);
    stops->held.length -= bytes;
    *out = qn__str_text(&stops->out);
    *out_bytes = bytes;
    return QN_OK;
}

qn_status qn_stops_push(qn_stops *stops, const char *text, size_t bytes, const char **out,
                        size_t *out_bytes, bool *found)
{
    QN_CHECK(stops && out && out_bytes && found && (text || bytes == 0),
             "qn_stops_push: a pointer is NULL");
    size_t at = 0;
    if (!stops->found) qn__str_add_bytes(&stops->held, text, bytes);
    size_t waits = stops->held.length; /* where what may become one begins */
    for (; at < stops->held.length && !stops->found; at++) {
        bool any = begins(stops, stops->held.data + at, stops->held.length - at, &stops->found);
        if (stops->found) break;
        if (any && at < waits) waits = at;
    }
    if (!stops->found) at = waits;
    QN_TRY(release(stops, at, out, out_bytes));
    if (stops->found) stops->held.length = 0;
    *found = stops->found;
    return QN_OK;
}

qn_status qn_stops_finish(qn_stops *stops, const char **out, size_t *out_bytes)
{
    QN_CHECK(stops && out && out_bytes, "qn_stops_finish: a pointer is NULL");
    stops->found = false;
    return release(stops, stops->held.length, out, out_bytes);
}
