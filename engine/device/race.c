#include "device/race.h"

#include "base/check.h"
#include "base/log.h"
#include "base/median.h"

#include <stdlib.h>

enum { MAX_RUNS = 99 };

/* Times the default's that a first look may show before a candidate is left alone. */
static const double HOPELESS = 3;

typedef struct state {
    const qn_race *race;
    qn_race_result *result;
    bool out[QN_RACE_CANDIDATES];
    double best[QN_RACE_CANDIDATES]; /* of the screening */
    double look;                     /* the default's first */
} state;

static bool over(const state *s)
{
    return s->race->over && s->race->over(s->race->user);
}

/* One run; a time that is none (NaN, negative) is a failure. */
static qn_status run(state *s, int candidate, double *seconds)
{
    *seconds = 0;
    s->result->runs++;
    qn_status status = s->race->run(s->race->user, candidate, seconds);
    if (status == QN_OK && !(*seconds >= 0 && *seconds < 1e30))
        status = qn__fail(QN_INTERNAL, "a run took %g seconds", *seconds);
    if (status == QN_OK || candidate == 0) return status;
    qn__log(QN_LOG_VERBOSE, "candidate %d is out: %s", candidate, qn_last_error());
    s->out[candidate] = true;
    s->result->failed++;
    return QN_OK;
}

/* Warm up, then look. *done: false when it was over before. */
static qn_status screen(state *s, bool *done)
{
    double seconds;
    *done = false;
    for (int r = -1; r < QN_RACE_SCREEN; r++)
        for (int c = 0; c < s->race->candidates; c++) {
            bool hopeless = r > 0 && s->best[c] > HOPELESS * s->look;
            if (s->out[c] || hopeless) continue;
            if (over(s)) return QN_OK;
            QN_TRY(run(s, c, &seconds));
            if (r == 0 || (r > 0 && seconds < s->best[c])) s->best[c] = seconds;
            if (r == 0 && c == 0) s->look = seconds;
        }
    *done = true;
    return QN_OK;
}

/* The fastest that is not out, was not tried, and beat the default; 0: none. */
static int next_challenger(const state *s, const bool *tried)
{
    int best = 0;
    for (int c = 1; c < s->race->candidates; c++)
        if (!s->out[c] && !tried[c] && s->best[c] < s->best[best]) best = c;
    return best;
}

/* Did the challenger win this round? Medians in seconds[2]. *done: false when it was over. */
static qn_status duel(state *s, int challenger, double seconds[2], bool *won, bool *done)
{
    double times[2][MAX_RUNS];
    int count = s->race->runs;
    *won = *done = false;
    for (int i = 0; i < count; i++)
        for (int side = 0; side < 2; side++) {
            if (over(s)) return QN_OK;
            QN_TRY(run(s, side ? challenger : 0, &times[side][i]));
            if (s->out[challenger]) {
                *done = true;
                return QN_OK;
            }
        }
    *done = true;
    for (int side = 0; side < 2; side++) seconds[side] = qn__median(times[side], count);
    *won = seconds[1] <= seconds[0] * (1 - QN_RACE_MARGIN) && seconds[1] < seconds[0];
    return QN_OK;
}

qn_status qn__race(const qn_race *race, qn_race_result *result)
{
    state s = {.race = race, .result = result};
    bool tried[QN_RACE_CANDIDATES] = {0}, done;
    int challenger;
    *result = (qn_race_result){0};
    QN_CHECK(race->candidates >= 1 && race->candidates <= QN_RACE_CANDIDATES && race->runs >= 1 &&
                 race->runs <= MAX_RUNS,
             "a race of %d candidates and %d runs", race->candidates, race->runs);
    QN_TRY(screen(&s, &done));
    if (!done) return QN_OK;
    result->seconds[0] = result->seconds[1] = s.best[0];
    while ((challenger = next_challenger(&s, tried)) != 0) {
        double seconds[2] = {s.best[0], s.best[0]};
        bool won = true;
        tried[challenger] = true;
        for (int round = 0; won && round < QN_RACE_ROUNDS; round++) {
            QN_TRY(duel(&s, challenger, seconds, &won, &done));
            if (!done) return QN_OK;
        }
        result->seconds[0] = seconds[0];
        result->seconds[1] = won ? seconds[1] : seconds[0];
        if (!won) continue;
        result->winner = challenger;
        break;
    }
    result->finished = true;
    return QN_OK;
}
