#include "cluster/watch.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <execinfo.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

struct qn_watch {
    qn_ranks *ranks;
    qn_cluster_options options;
    pthread_t thread, watched;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
};

/* ---- the stack of another thread: it notes its own, when a signal asks ---- */

enum { FRAMES = 48 };

static struct {
    void *frame[FRAMES];
    int count;
    sem_t noted;
} stack;

static void note_stack(int number)
{
    (void)number;
    stack.count = backtrace(stack.frame, FRAMES);
    sem_post(&stack.noted);
}

static void log_stack(pthread_t thread)
{
    struct sigaction action = {.sa_handler = note_stack, .sa_flags = SA_RESTART}, before;
    struct timespec until;
    void *warm[1];
    (void)backtrace(warm, 1); /* loads what it needs, which a signal's handler may not */
    sem_init(&stack.noted, 0, 0);
    if (sigaction(SIGURG, &action, &before) != 0) return;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 2;
    if (pthread_kill(thread, SIGURG) == 0 && sem_timedwait(&stack.noted, &until) == 0) {
        char **lines = backtrace_symbols(stack.frame, stack.count);
        for (int i = 0; lines && i < stack.count; i++)
            qn__log(QN_LOG_ERROR, "  stack %2d: %s", i, lines[i]);
        free(lines);
    }
    sigaction(SIGURG, &before, NULL);
}

/* ---- what was spoken of last ---- */

static void log_jobs(const qn_ranks *r, double now)
{
    uint64_t from = r->posted > QN_JOBS_REMEMBERED ? r->posted - QN_JOBS_REMEMBERED : 0;
    for (uint64_t n = from; n < r->posted; n++) {
        const qn_job *job = &r->job[n % QN_JOBS];
        if (job->began == 0)
            qn__log(QN_LOG_ERROR, "  collective %llu: %s, not begun", (unsigned long long)n,
                    job->name);
        else if (job->ended == 0)
            qn__log(QN_LOG_ERROR, "  collective %llu: %s of %llu, for %.1f s",
                    (unsigned long long)n, job->name, (unsigned long long)job->count,
                    now - job->began);
        else
            qn__log(QN_LOG_ERROR, "  collective %llu: %s of %llu, took %.3f s, %.1f s ago",
                    (unsigned long long)n, job->name, (unsigned long long)job->count,
                    job->ended - job->began, now - job->ended);
    }
}

/* Seconds that the job in progress has waited for others; 0: there is none, or it still waits for
 * this rank's own device, which may be compiling. */
static double busy(const qn_ranks *r, double now)
{
    if (r->done == r->posted) return 0;
    const qn_job *job = &r->job[r->done % QN_JOBS];
    double since = job->sum.open || job->share.open ? job->opened : job->began;
    return since > 0 ? now - since : 0;
}

static bool look(qn_watch *w)
{
    qn_ranks *r = w->ranks;
    double now = qn__seconds();
    pthread_mutex_lock(&r->lock);
    bool hangs = busy(r, now) > w->options.watchdog_seconds;
    if (hangs) {
        qn__log(QN_LOG_ERROR,
                "rank %d of %d waited %.1f s for the other ranks: one of them hangs, or the "
                "network does. What it last spoke of, and where it stands:",
                r->comm.rank, r->comm.size, busy(r, now));
        log_jobs(r, now);
    }
    pthread_mutex_unlock(&r->lock);
    if (hangs) log_stack(w->watched);
    return hangs;
}

static void *watch(void *user)
{
    qn_watch *w = user;
    double nap = w->options.watchdog_seconds / 8;
    if (nap > 1) nap = 1;
    pthread_mutex_lock(&w->lock);
    while (!w->stopping) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        int64_t ns = until.tv_nsec + (int64_t)(nap * 1e9);
        until.tv_sec += (time_t)(ns / 1000000000);
        until.tv_nsec = (long)(ns % 1000000000);
        pthread_cond_timedwait(&w->changed, &w->lock, &until);
        if (w->stopping || !look(w)) continue;
        if (w->options.on_hang) w->options.on_hang(w->options.user);
        break;
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

qn_status qn__watch_start(qn_ranks *ranks, const qn_cluster_options *options, qn_watch **watching)
{
    *watching = NULL;
    if (options->watchdog_seconds <= 0) return QN_OK;
    qn_watch *w = calloc(1, sizeof *w);
    if (!w) return qn__fail(QN_OS_ERROR, "out of memory");
    w->ranks = ranks;
    w->options = *options;
    w->watched = pthread_self();
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    if (pthread_create(&w->thread, NULL, watch, w) != 0) {
        free(w);
        return qn__fail(QN_OS_ERROR, "no thread for the watchdog");
    }
    *watching = w;
    return QN_OK;
}

void qn__watch_stop(qn_watch **watching)
{
    qn_watch *w = *watching;
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
    *watching = NULL;
}
