/* Learning rates. Steps count from 0; with W steps of warm-up, N steps in all and low the rate at
 * the end:
 *
 *   step < W   lr (step + 1) / (W + 1)
 *   constant   lr
 *   cosine     low + (lr - low) (1 + cos(pi x)) / 2     x = (step - W) / (N - W)
 *   linear     low + (lr - low) (1 - x)
 *   wsd        lr until D steps before the end, then low + (lr - low) (1 - sqrt(x)),
 *              x = (step - (N - D)) / D, D = decay_fraction N rounded, at most N - W
 *
 * (cosine: Loshchilov and Hutter 2017; wsd with 1 - sqrt: Haegele et al. 2024, as in llm.c.) */
#include "train/options.h"

#include "base/check.h"

#include <math.h>
#include <string.h>

static double cosine(double x)
{
    return 0.5 * (1 + cos(3.14159265358979323846 * x));
}

static double linear(double x)
{
    return 1 - x;
}

static double one_minus_sqrt(double x)
{
    return 1 - sqrt(x);
}

/* fall: what is left of lr - low after part x of the way down; NULL: no way down. */
static const struct schedule {
    const char *name;
    double (*fall)(double x);
    bool stable; /* the way down is decay_fraction of the run only */
} schedules[] = {
    {"cosine", cosine, false},
    {"linear", linear, false},
    {"constant", NULL, false},
    {"wsd", one_minus_sqrt, true},
};

enum { SCHEDULES = sizeof schedules / sizeof schedules[0] };

static const struct schedule *find(const char *name)
{
    for (int i = 0; i < SCHEDULES; i++)
        if (strcmp(schedules[i].name, name) == 0) return &schedules[i];
    return NULL;
}

qn_status qn__schedule_check(const qn_train_options *o)
{
    if (find(o->schedule)) return QN_OK;
    return qn__fail(QN_BAD_ARGUMENT, "schedule: \"%s\" is not cosine, linear, constant or wsd",
                    o->schedule);
}

double qn__learning_rate(const qn_train_options *o, int64_t step)
{
    const struct schedule *schedule = find(o->schedule);
    double low = o->min_lr >= 0 ? o->min_lr : o->lr / 10;
    if (step < o->warmup) return o->lr * (double)(step + 1) / (double)(o->warmup + 1);
    if (!schedule || !schedule->fall) return o->lr;
    if (step >= o->steps || o->steps <= o->warmup) return low;
    int64_t way = o->steps - o->warmup;
    if (schedule->stable) {
        int64_t decay = (int64_t)llround(o->decay_fraction * (double)o->steps);
        if (decay < way) way = decay;
    }
    int64_t down = step - (o->steps - way); /* steps of the way down that are behind */
    if (down < 0) return o->lr;
    return low + schedule->fall((double)down / (double)way) * (o->lr - low);
}
