/* A race: which of several ways to do the same is the fastest, by times that are noisy. The clock
 * is the caller's, so that a test can invent the times.
 *
 * Each candidate is warmed up once, not counted. Then SCREEN runs of each, in turn; the smallest
 * counts; one that takes three times as long as the default at its first is not run again.
 * Challengers are those whose screening beat the default's, fastest first; the first that beats the
 * default by 3 % in both of two rounds takes its place. In a round the two alternate, and medians
 * are compared. A tie, noise and a round that the default wins all keep the default. */
#ifndef QN_DEVICE_RACE_H
#define QN_DEVICE_RACE_H

#include <quernel/status.h>
#include <stdbool.h>

enum { QN_RACE_CANDIDATES = 32, QN_RACE_SCREEN = 3, QN_RACE_ROUNDS = 2 };
/* What must be won, in parts of the default's time. */
#define QN_RACE_MARGIN 0.03

typedef struct qn_race {
    int candidates; /* 0 is the default */
    int runs;       /* of each in a round; odd, 1 to 99 */
    /* Do it once and say how long it took. A candidate that fails is out; the default must not. */
    qn_status (*run)(void *user, int candidate, double *seconds);
    /* Time is up, or somebody wants to stop: asked before every run. NULL: never. */
    bool (*over)(void *user);
    void *user;
} qn_race;

typedef struct qn_race_result {
    int winner;        /* 0: the default stays */
    double seconds[2]; /* of the default and of the winner: medians of the last round */
    bool finished;     /* false: it was over before there was a verdict; winner is 0 */
    int failed;        /* candidates that are out */
    int runs;          /* in all */
} qn_race_result;

/* The default's failure is the race's. */
qn_status qn__race(const qn_race *race, qn_race_result *result) QN_MUST_USE;

#endif
