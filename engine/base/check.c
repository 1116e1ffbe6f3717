#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 2048 };

static _Thread_local char message[MESSAGE_BYTES] = "no error";

const char *qn_last_error(void)
{
    return message;
}

qn_status qn__fail(qn_status status, const char *format, ...)
{
    va_list args;
    char text[MESSAGE_BYTES]; /* an argument may point into `message` */
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(message, text, sizeof text);
    return status;
}

qn_status qn__wrap(qn_status status, const char *format, ...)
{
    va_list args;
    char text[MESSAGE_BYTES];
    va_start(args, format);
    int used = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (used >= 0 && used < MESSAGE_BYTES)
        snprintf(text + used, sizeof text - (size_t)used, "%s", message);
    memcpy(message, text, sizeof text);
    return status;
}

#define ROW(name, code) [name] = {#name, code}
static const struct {
    const char *name;
    int exit_code;
} table[] = {
    ROW(QN_OK, 0),
    ROW(QN_BAD_ARGUMENT, 64),
    ROW(QN_BAD_DATA, 65),
    ROW(QN_NO_DEVICE, 69),
    ROW(QN_INTERNAL, 70),
    ROW(QN_OS_ERROR, 71),
    ROW(QN_CANNOT_WRITE, 73),
    ROW(QN_INTERRUPTED, 75),
    ROW(QN_OUT_OF_DEVICE_MEMORY, 71),
    ROW(QN_COMM_ERROR, 76),
    ROW(QN_NON_FINITE, 77),
    ROW(QN_UNSUPPORTED, 64),
};

const char *qn_status_name(qn_status status)
{
    size_t rows = sizeof table / sizeof table[0];
    return (size_t)status < rows ? table[status].name : "unknown status";
}

int qn_status_exit_code(qn_status status)
{
    size_t rows = sizeof table / sizeof table[0];
    return (size_t)status < rows ? table[status].exit_code : 70;
}
