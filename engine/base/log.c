#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static qn_log_fn callback;
static void *callback_user;
static atomic_int callback_level = -1; /* -1: no callback */

void qn_log_set(qn_log_fn fn, void *user, qn_log_level level)
{
    pthread_mutex_lock(&lock);
    callback = fn;
    callback_user = user;
    atomic_store(&callback_level, fn ? (int)level : -1);
    pthread_mutex_unlock(&lock);
}

bool qn__log_wanted(qn_log_level level)
{
    return (int)level <= atomic_load(&callback_level);
}

void qn__log(qn_log_level level, const char *format, ...)
{
    if (!qn__log_wanted(level)) return;
    char line[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    pthread_mutex_lock(&lock);
    if (callback) callback(callback_user, level, line);
    pthread_mutex_unlock(&lock);
}
