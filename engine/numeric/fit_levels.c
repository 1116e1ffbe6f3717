/* Grids of levels times a scale: each group alone first, from several starting widths of either
 * sign, by turns the nearest levels for a scale and the least-squares scale for these levels; then
 * the whole block, where scales are small integers times one half, likewise. */
#include "numeric/fit.h"
#include "numeric/lanes.h"

#include <float.h>
#include <string.h>

enum { TABLE = 16 };

typedef struct grid {
    float first, last;
    int table;                                /* is it one? else all integers */
    float middle[TABLE - 1], step[TABLE - 1]; /* between neighbours */
} grid;

typedef struct group {
    const float *x, *w;
    int n;
} group;

typedef struct sums {
    qn_lanes error; /* w (x - y)^2 */
    qn_lanes wqq, wxq;
} sums;

static grid grid_of(const qn_level_shape *shape)
{
    const int8_t *level = shape->levels;
    if (!level) return (grid){.first = (float)shape->first, .last = (float)(-shape->first - 1)};
    grid g = {.first = level[0], .last = level[TABLE - 1], .table = 1};
    for (int k = 0; k + 1 < TABLE; k++) {
        g.middle[k] = 0.5f * (float)(level[k] + level[k + 1]);
        g.step[k] = (float)(level[k + 1] - level[k]);
    }
    return g;
}

static inline qn_lanes nearest(const grid *g, qn_lanes v)
{
    const qn_lanes zero = {0};
    if (!g->table) return qn__lanes_nearest(qn__lanes_between(v, zero + g->first, zero + g->last));
    qn_lanes level = zero + g->first;
    for (int k = 0; k + 1 < TABLE; k++)
        level += (qn_lanes)((qn_masks)(zero + g->step[k]) & (v > zero + g->middle[k]));
    return level;
}

static uint8_t number_of(const grid *g, float v)
{
    int number = 0;
    if (!g->table) return (uint8_t)(qn__nearest(qn__between(v, g->first, g->last)) - g->first);
    for (int k = 0; k + 1 < TABLE; k++) number += v > g->middle[k];
    return (uint8_t)number;
}

/* y = d q with the nearest level q. */
static inline sums look_at(const grid *g, const group *of, qn_lanes d)
{
    const qn_lanes zero = {0}, inverse = qn__lanes_inverse(d);
    sums s = {zero, zero, zero};
    for (int i = 0; i < of->n; i++) {
        qn_lanes q = nearest(g, of->x[i] * inverse);
        qn_lanes miss = of->x[i] - d * q, wq = of->w[i] * q;
        s.error += of->w[i] * miss * miss;
        s.wqq += wq * q;
        s.wxq += wq * of->x[i];
    }
    return s;
}

static sums look(const grid *g, const group *of, qn_lanes d)
{
    grid all = {.first = g->first, .last = g->last}; /* a loop of its own, without the table */
    return g->table ? look_at(g, of, d) : look_at(&all, of, d);
}

/* The best scale for one group, of either sign. Starts put the furthest element on the first or the
 * last level, or up to a level beside it. Of scales as good as each other the narrower: a wide one
 * makes the unit of the whole block coarse. */
static float fit_group(const grid *g, const group *of)
{
    enum { STARTS = 16, TURNS = 2 };
    const qn_lanes zero = {0}, aside = {0, 0, 1, 1};
    const qn_lanes end = {g->first, g->last, g->first, g->last};
    const float width = g->table ? 0.03f : 0.3f / -g->first; /* of a third of a level */
    float most = 0, best = 0, least = FLT_MAX;
    for (int i = 0; i < of->n; i++) most = qn__most(most, fabsf(of->x[i]));
    if (most == 0) return 0;
    for (int k = 0; k < STARTS; k += 4) {
        qn_lanes d = most / (end * (1 + width * ((float)(k / 2 - 3) + aside)));
        qn_lanes found = d, lowest = zero + FLT_MAX;
        for (int turn = 0; turn < TURNS; turn++) {
            sums s = look(g, of, d);
            qn_masks better = s.error < lowest;
            qn_masks some = s.wqq > 0;
            lowest = qn__lanes_select(better, s.error, lowest);
            found = qn__lanes_select(better, d, found);
            d = qn__lanes_select(some, s.wxq / qn__lanes_select(some, s.wqq, zero + 1), d);
        }
        for (int l = 0; l < 4; l++) {
            const float near = fabsf(found[l]) < fabsf(best) ? 1.001f : 0.999f;
            if (lowest[l] >= least * near && k + l > 0) continue;
            least = lowest[l];
            best = found[l];
        }
    }
    return best;
}

static group group_of(const qn_fit *fit, const qn_level_shape *shape, int j)
{
    return (group){fit->x + j * shape->size, fit->w + j * shape->size, shape->size};
}

/* The integers around the wanted ones with the least error. */
static float choose(const qn_fit *fit, const qn_level_shape *shape, const grid *g,
                    const float *want, float d, qn_level_fit *to)
{
    const qn_lanes zero = {0}, around = {-1, 0, 1, 2};
    const qn_lanes low = zero - (float)shape->half, high = zero + (float)(shape->half - 1);
    float sum = 0, per_d = qn__inverse(d);
    for (int j = 0; j < shape->groups; j++) {
        const group of = group_of(fit, shape, j);
        float error, at = floorf(qn__between(want[j] * per_d, low[0], high[0]));
        qn_lanes scale = qn__lanes_between(at + around, low, high);
        int lane = qn__lanes_least(look(g, &of, d * scale).error, &error);
        to->scale[j] = (int8_t)scale[lane];
        sum += error;
    }
    to->d = d;
    return sum;
}

/* The least-squares d for the integers chosen. */
static float solve_block(const qn_fit *fit, const qn_level_shape *shape, const grid *g,
                         const qn_level_fit *at)
{
    const qn_lanes zero = {0};
    double aa = 0, ax = 0; /* x = d a, a = scale q */
    for (int j = 0; j < shape->groups; j++) {
        const group of = group_of(fit, shape, j);
        const double scale = at->scale[j];
        sums s = look(g, &of, zero + at->d * at->scale[j]);
        aa += scale * scale * s.wqq[0];
        ax += scale * s.wxq[0];
    }
    return aa > 0 ? (float)(ax / aa) : 0;
}

/* One start: by turns the best integers for a half, and the half for these integers. */
static void fit_from(const qn_fit *fit, const qn_level_shape *shape, const grid *g,
                     const float *want, float d, float *least, qn_level_fit *best)
{
    float before = FLT_MAX;
    for (int turn = 0; turn < 3; turn++) {
        qn_level_fit at = {0};
        d = qn__fit_half(fit, d);
        float error = choose(fit, shape, g, want, d, &at);
        if (error < *least) {
            *least = error;
            memcpy(best, &at, sizeof at);
        }
        if (error >= before) return;
        before = error;
        d = solve_block(fit, shape, g, &at);
    }
}

/* The widest scale becomes -half or half - 1, whichever leads to less. */
static void fit_block(const qn_fit *fit, const qn_level_shape *shape, const grid *g,
                      qn_level_fit *best)
{
    float want[16], furthest = 0, least = FLT_MAX;
    for (int j = 0; j < shape->groups; j++) {
        const group of = group_of(fit, shape, j);
        want[j] = fit_group(g, &of);
        if (fabsf(want[j]) > fabsf(furthest)) furthest = want[j];
    }
    fit_from(fit, shape, g, want, furthest / (float)-shape->half, &least, best);
    fit_from(fit, shape, g, want, furthest / (float)(shape->half - 1), &least, best);
}

/* A scale that is kept as a half itself; 0 where the smallest half is too large. */
static float fit_one(const qn_fit *fit, const qn_level_shape *shape, const grid *g)
{
    const group of = group_of(fit, shape, 0);
    const qn_lanes d = {qn__fit_half(fit, fit_group(g, &of))};
    const qn_lanes error = look(g, &of, d).error;
    return error[0] < error[1] ? d[0] : 0;
}

void qn__fit_levels(const qn_fit *fit, const qn_level_shape *shape, qn_level_fit *best)
{
    const grid g = grid_of(shape);
    memset(best, 0, sizeof *best);
    if (shape->half) {
        fit_block(fit, shape, &g, best);
    } else {
        best->d = fit_one(fit, shape, &g);
        best->scale[0] = 1;
    }
    for (int i = 0; i < shape->groups * shape->size; i++) {
        float inverse = qn__inverse(best->d * best->scale[i / shape->size]);
        best->q[i] = number_of(&g, fit->x[i] * inverse);
    }
    best->d *= fit->power;
}

float qn__symmetric_weighted(const float *x, const float *w, int bits, uint8_t *q)
{
    const qn_level_shape shape = {.groups = 1, .size = 32, .first = -(1 << (bits - 1))};
    qn_fit fit;
    qn_level_fit best;
    if (!w) return qn__symmetric(x, bits, q);
    qn__fit_begin(&fit, x, w, 32);
    qn__fit_levels(&fit, &shape, &best);
    memcpy(q, best.q, 32);
    return best.d;
}
