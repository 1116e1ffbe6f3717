/* Sending lines to the caller's log callback. */
#ifndef QN_BASE_LOG_H
#define QN_BASE_LOG_H

#include <quernel/log.h>
#include <stdbool.h>

void qn__log(qn_log_level level, const char *format, ...) QN_PRINTF(2, 3);

/* Worth building an expensive line? */
bool qn__log_wanted(qn_log_level level);

#endif
