#include "base/threads.h"

#include <pthread.h>
#include <stdbool.h>
#include <sched.h>

enum { USUAL = 16, MOST = 256 };

typedef struct part {
    void (*work)(void *user, int64_t from, int64_t to);
    void *user;
    int64_t from, to;
} part;

static void *run(void *argument)
{
    const part *p = argument;
    p->work(p->user, p->from, p->to);
    return NULL;
}

static int cores(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

void qn__share(int64_t count, int64_t least, void (*work)(void *user, int64_t from, int64_t to),
               void *user)
{
    qn__share_on(0, count, least, work, user);
}

void qn__share_on(int threads, int64_t count, int64_t least,
                  void (*work)(void *user, int64_t from, int64_t to), void *user)
{
    pthread_t ids[MOST];
    part parts[MOST];
    int64_t n = count / (least > 0 ? least : 1);
    if (threads <= 0) threads = cores() < USUAL ? cores() : USUAL;
    if (n > threads) n = threads;
    if (n > MOST) n = MOST;
    if (n < 1) n = 1;
    int started = 0;
    for (int64_t i = 0; i < n; i++) {
        parts[i] = (part){work, user, count * i / n, count * (i + 1) / n};
        bool mine = i == n - 1 || pthread_create(&ids[started], NULL, run, &parts[i]) != 0;
        if (mine) run(&parts[i]);
        else started++;
    }
    for (int i = 0; i < started; i++) pthread_join(ids[i], NULL);
}
