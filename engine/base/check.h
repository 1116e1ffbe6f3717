/* Reporting and passing on failures. */
#ifndef QN_BASE_CHECK_H
#define QN_BASE_CHECK_H

#include <assert.h>
#include <quernel/status.h>

/* Set this thread's message and return `status`, so that `return qn__fail(...)` reads well. */
qn_status qn__fail(qn_status status, const char *format, ...) QN_PRINTF(2, 3);

/* Put context before the current message: "while reading x: " + message. Returns `status`. */
qn_status qn__wrap(qn_status status, const char *format, ...) QN_PRINTF(2, 3);

/* Pass a failure up. */
#define QN_TRY(call)                                                                               \
    do {                                                                                           \
        qn_status qn__status = (call);                                                             \
        if (qn__status != QN_OK) return qn__status;                                                \
    } while (0)

/* Pass a failure to the single clean-up label of a function that owns things. */
#define QN_TRY_GOTO(status, label, call)                                                           \
    do {                                                                                           \
        (status) = (call);                                                                         \
        if ((status) != QN_OK) goto label;                                                         \
    } while (0)

/* The caller's mistake: always on; the message says the offending values. */
#define QN_CHECK(condition, ...)                                                                   \
    do {                                                                                           \
        if (!(condition)) return qn__fail(QN_BAD_ARGUMENT, __VA_ARGS__);                           \
    } while (0)

/* Our mistake: debug builds only. */
#define QN_ASSERT(condition) assert(condition)

#endif
