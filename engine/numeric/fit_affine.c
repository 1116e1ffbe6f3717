/* Affine grids: each group alone first, from several starting widths, by turns nearest levels for a
 * scale and minimum, and the least-squares scale and minimum for these levels; then the whole
 * block, where scales and minima are small integers times two halves: by turns the best integers
 * around those wanted, and the least-squares halves for these integers. */
#include "numeric/block_format.h"
#include "numeric/fit.h"
#include "numeric/lanes.h"

#include <float.h>
#include <string.h>

/* Lines y = d q - m, one a lane. */
typedef struct lines {
    qn_lanes d, m;
} lines;

typedef struct line {
    float d, m;
} line;

/* Of one group. */
typedef struct group {
    const float *x, *w;
    int n;
    float top, low, high;
    float sw, swx;
} group;

typedef struct sums {
    qn_lanes error; /* w (x - y)^2 */
    qn_lanes wq, wqq, wxq;
} sums;

static group group_of(const qn_fit *fit, const qn_affine_shape *shape, int j)
{
    group g = {.x = fit->x + j * shape->size, .w = fit->w + j * shape->size};
    g.n = shape->size;
    g.top = (float)shape->top;
    g.low = g.high = g.x[0];
    for (int i = 0; i < g.n; i++) {
        g.low = qn__least(g.low, g.x[i]);
        g.high = qn__most(g.high, g.x[i]);
        g.sw += g.w[i];
        g.swx += g.w[i] * g.x[i];
    }
    return g;
}

static sums look(const group *g, lines at)
{
    const qn_lanes zero = {0}, top = zero + g->top, inverse = qn__lanes_inverse(at.d);
    sums s = {zero, zero, zero, zero};
    for (int i = 0; i < g->n; i++) {
        qn_lanes q = qn__lanes_nearest(qn__lanes_between((g->x[i] + at.m) * inverse, zero, top));
        qn_lanes miss = g->x[i] - (at.d * q - at.m), wq = g->w[i] * q;
        s.error += g->w[i] * miss * miss;
        s.wq += wq;
        s.wqq += wq * q;
        s.wxq += wq * g->x[i];
    }
    return s;
}

static qn_lanes error_of(const group *g, lines at)
{
    const qn_lanes zero = {0}, top = zero + g->top, inverse = qn__lanes_inverse(at.d);
    qn_lanes error = zero;
    for (int i = 0; i < g->n; i++) {
        qn_lanes q = qn__lanes_nearest(qn__lanes_between((g->x[i] + at.m) * inverse, zero, top));
        qn_lanes miss = g->x[i] - (at.d * q - at.m);
        error += g->w[i] * miss * miss;
    }
    return error;
}

/* The least-squares lines for the levels behind `s`; where there are none, those that were.
 * any_sign: m may be negative. */
static lines solve(const group *g, const sums *s, int any_sign, lines was)
{
    qn_lanes det = g->sw * s->wqq - s->wq * s->wq;
    qn_masks good = det > 1e-6f * g->sw * s->wqq;
    det = qn__lanes_select(good, det, det * 0 + 1);
    lines at = {(g->sw * s->wxq - g->swx * s->wq) / det, was.m};
    at.m = (at.d * s->wq - g->swx) / g->sw;
    if (!any_sign) {
        qn_masks below = at.m < 0;
        qn_lanes wqq = qn__lanes_select(s->wqq > 0, s->wqq, s->wqq * 0 + 1);
        at.d = qn__lanes_select(below, s->wxq / wqq, at.d);
        at.m = qn__lanes_select(below, at.m * 0, at.m);
    }
    good &= at.d > 0;
    return (lines){qn__lanes_select(good, at.d, was.d), qn__lanes_select(good, at.m, was.m)};
}

/* The best line for one group. Starts span its elements or a little more or less; every second one
 * has a level at zero, which groups of few large elements want. */
static line fit_group(const group *g, int any_sign)
{
    enum { STARTS = 16, TURNS = 3 };
    const float low = any_sign ? g->low : qn__least(g->low, 0);
    line best = {0, -low};
    if (g->high <= low) return best;
    float least = FLT_MAX;
    for (int k = 0; k < STARTS; k += 4) {
        const qn_lanes step = {0, 0, 1, 1}, zero = {0};
        const qn_masks middle = {0, -1, 0, -1};
        lines at = {(g->high - low) / (g->top - 1.0f + 0.3f * ((float)k / 2 + step)), zero - low};
        at.m = qn__lanes_select(middle, at.d * qn__lanes_nearest(at.m / at.d), at.m);
        lines found = at;
        qn_lanes lowest = zero + FLT_MAX;
        for (int turn = 0; turn < TURNS; turn++) {
            sums s = look(g, at);
            qn_masks better = s.error < lowest;
            lowest = qn__lanes_select(better, s.error, lowest);
            found.d = qn__lanes_select(better, at.d, found.d);
            found.m = qn__lanes_select(better, at.m, found.m);
            if (turn + 1 < TURNS) at = solve(g, &s, any_sign, at);
        }
        float error;
        int lane = qn__lanes_least(lowest, &error);
        if (error >= least) continue;
        least = error;
        best = (line){found.d[lane], found.m[lane]};
    }
    return best;
}

static uint8_t level(float x, line at, float inverse, int top)
{
    return (uint8_t)qn__nearest(qn__between((x + at.m) * inverse, 0, (float)top));
}

void qn__fit_affine_plain(const qn_fit *fit, int size, int top, float *d, float *m, uint8_t *q)
{
    const qn_affine_shape shape = {1, size, top, 0};
    group g = group_of(fit, &shape, 0);
    line at = fit_group(&g, 1);
    uint8_t half[2];
    *d = qn__store_half(half, at.d * fit->power);
    *m = qn__store_half(half, -at.m * fit->power);
    at = (line){*d / fit->power, -*m / fit->power};
    const float inverse = qn__inverse(at.d);
    for (int i = 0; i < size; i++) q[i] = level(fit->x[i], at, inverse, top);
}

/* ---- the block ---- */

/* The integers around the wanted ones with the least error. */
static float choose(const qn_fit *fit, const qn_affine_shape *shape, const line *want, line unit,
                    qn_affine_fit *to)
{
    const qn_lanes around = {-1, 0, 1, 2}, zero = {0}, most = zero + (float)shape->scale_top;
    float total = 0, per_d = qn__inverse(unit.d), per_m = qn__inverse(unit.m);
    for (int j = 0; j < shape->groups; j++) {
        const group g = group_of(fit, shape, j);
        qn_lanes scale = floorf(qn__between(want[j].d * per_d, 0, most[0])) + around;
        qn_lanes min = floorf(qn__between(want[j].m * per_m, 0, most[0])) + around;
        float least = FLT_MAX;
        scale = qn__lanes_between(scale, zero, most);
        min = qn__lanes_between(min, zero, most);
        for (int b = 0; b < 4; b++) {
            float error;
            lines at = {unit.d * scale, zero + unit.m * min[b]};
            int lane = qn__lanes_least(error_of(&g, at), &error);
            if (error >= least) continue;
            least = error;
            to->scale[j] = (uint8_t)scale[lane];
            to->min[j] = (uint8_t)min[b];
        }
        total += least;
    }
    to->d = unit.d;
    to->dmin = unit.m;
    return total;
}

/* The least-squares halves for the integers chosen. */
static line solve_block(const qn_fit *fit, const qn_affine_shape *shape, const qn_affine_fit *at)
{
    double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0; /* x = d a - dmin b, a = scale q, b = min */
    for (int j = 0; j < shape->groups; j++) {
        const group g = group_of(fit, shape, j);
        const double scale = at->scale[j], min = at->min[j];
        const qn_lanes zero = {0};
        sums s = look(&g, (lines){zero + at->d * at->scale[j], zero + at->dmin * at->min[j]});
        aa += scale * scale * s.wqq[0];
        ab += scale * min * s.wq[0];
        bb += min * min * g.sw;
        ax += scale * s.wxq[0];
        bx += min * g.swx;
    }
    double det = aa * bb - ab * ab;
    if (det > 1e-9 * aa * bb)
        return (line){(float)((ax * bb - ab * bx) / det), (float)((ab * ax - aa * bx) / det)};
    return (line){aa > 0 ? (float)(ax / aa) : at->d, at->dmin};
}

void qn__fit_affine(const qn_fit *fit, const qn_affine_shape *shape, qn_affine_fit *best)
{
    line want[16], unit = {0, 0};
    float least = FLT_MAX;
    for (int j = 0; j < shape->groups; j++) {
        const group g = group_of(fit, shape, j);
        want[j] = fit_group(&g, 0);
        unit.d = qn__most(unit.d, want[j].d / (float)shape->scale_top);
        unit.m = qn__most(unit.m, want[j].m / (float)shape->scale_top);
    }
    memset(best, 0, sizeof *best);
    for (int turn = 0; turn < 3; turn++) {
        qn_affine_fit at = {0};
        unit =
            (line){qn__fit_half(fit, qn__most(unit.d, 0)), qn__fit_half(fit, qn__most(unit.m, 0))};
        float error = choose(fit, shape, want, unit, &at);
        if (error >= least) break;
        least = error;
        *best = at;
        unit = solve_block(fit, shape, &at);
    }
    for (int j = 0; j < shape->groups; j++) {
        line at = {best->d * best->scale[j], best->dmin * best->min[j]};
        const float inverse = qn__inverse(at.d);
        for (int i = j * shape->size; i < (j + 1) * shape->size; i++)
            best->q[i] = level(fit->x[i], at, inverse, shape->top);
    }
    best->d *= fit->power;
    best->dmin *= fit->power;
}
