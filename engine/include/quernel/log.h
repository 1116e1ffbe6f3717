/* The library never prints: it hands lines to the callback you set. */
#ifndef QUERNEL_LOG_H
#define QUERNEL_LOG_H

#include <quernel/export.h>

typedef enum qn_log_level { QN_LOG_ERROR, QN_LOG_WARN, QN_LOG_INFO, QN_LOG_VERBOSE } qn_log_level;

typedef void (*qn_log_fn)(void *user, qn_log_level level, const char *line);

/* Lines at or below `level` go to `fn` (no newline at the end). NULL switches logging off, which is
 * the default. Thread safe; `fn` may be called from any thread, one call at a time. */
QN_API void qn_log_set(qn_log_fn fn, void *user, qn_log_level level);

#endif
