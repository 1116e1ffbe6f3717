/* How every fallible call reports: a status that must be looked at, and one message a thread. */
#ifndef QUERNEL_STATUS_H
#define QUERNEL_STATUS_H

#include <quernel/export.h>

typedef enum qn_status {
    QN_OK = 0,
    QN_BAD_ARGUMENT,         /* the caller's mistake: a shape, a flag, a NULL           exit 64 */
    QN_BAD_DATA,             /* a file says something that cannot be true               exit 65 */
    QN_NO_DEVICE,            /* no device, or it was lost                               exit 69 */
    QN_INTERNAL,             /* our mistake: please report the message                  exit 70 */
    QN_OS_ERROR,             /* a system call failed: missing file, no memory           exit 71 */
    QN_OUT_OF_DEVICE_MEMORY, /* the message says how much was asked and how much is there    71 */
    QN_CANNOT_WRITE,         /* disk full, read-only: nothing is left half-written      exit 73 */
    QN_INTERRUPTED,          /* a callback asked to stop; state was saved               exit 75 */
    QN_COMM_ERROR,           /* another rank failed or the network did                  exit 76 */
    QN_NON_FINITE,           /* NaN or infinity beyond the limit                        exit 77 */
    QN_UNSUPPORTED           /* valid, but this build or device does not do it          exit 64 */
} qn_status;

/* Message of the last failure in this thread: what, where, the offending value, what to do.
 * Valid until the next failing call of the same thread. Never NULL. */
QN_API const char *qn_last_error(void);

/* "QN_BAD_DATA", static storage. */
QN_API const char *qn_status_name(qn_status status);

/* The process exit code that fits (sysexits.h, and 75-77 for retry, ranks and NaN). */
QN_API int qn_status_exit_code(qn_status status);

#endif
