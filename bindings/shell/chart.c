/* Points, the range they fill, and round numbers in it. */
#include "chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool qn__points_add(qn_points *points, double x, double y)
{
    if (!(fabs(x) <= 1e18) || !(fabs(y) <= 1e18)) return true;
    if (points->count == points->room) {
        int room = points->room ? points->room * 2 : 256;
        double *xs = realloc(points->x, sizeof *xs * (size_t)room);
        if (xs) points->x = xs;
        double *ys = realloc(points->y, sizeof *ys * (size_t)room);
        if (ys) points->y = ys;
        if (!xs || !ys) return false;
        points->room = room;
    }
    points->x[points->count] = x;
    points->y[points->count++] = y;
    return true;
}

void qn__points_free(qn_points *points)
{
    free(points->x);
    free(points->y);
    *points = (qn_points){0};
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* One sum that moves along: what enters is added, what leaves is taken off. At the start, where the
 * curve is steep, over a quarter of what lies before; at the end over as many as there are. */
bool qn__points_smooth(const qn_points *points, qn_points *smooth)
{
    int n = points->count, from = 0, to = 0; /* the sum is of [from, to) */
    long double sum = 0;                     /* of values that go again, it must not keep a trace */
    smooth->count = 0;
    for (int i = 0; i < n; i++) {
        int side = least(n / 50, i / 4);
        while (to < n && to < i + side + 1) sum += (long double)points->y[to++];
        while (from < i - side) sum -= (long double)points->y[from++];
        if (!qn__points_add(smooth, points->x[i], (double)(sum / (to - from)))) return false;
    }
    return true;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double qn__points_median(const qn_points *points)
{
    if (points->count == 0) return NAN;
    size_t n = (size_t)points->count;
    double *sorted = malloc(n * sizeof *sorted), median = NAN;
    if (!sorted) return NAN;
    memcpy(sorted, points->y, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_value);
    median = sorted[n / 2];
    free(sorted);
    return median;
}

static void widen(qn_range *range, const qn_points *points)
{
    for (int i = 0; points && i < points->count; i++) {
        range->x0 = fmin(range->x0, points->x[i]);
        range->x1 = fmax(range->x1, points->x[i]);
        range->y0 = fmin(range->y0, points->y[i]);
        range->y1 = fmax(range->y1, points->y[i]);
    }
}

qn_range qn__range_of(const qn_points *one, const qn_points *other, bool from_zero)
{
    qn_range range = {INFINITY, -INFINITY, INFINITY, -INFINITY, false};
    widen(&range, one);
    widen(&range, other);
    if (!isfinite(range.x0)) range = (qn_range){0, 1, 0, 1, false};
    if (!(range.x1 - range.x0 > 1e-9 * fabs(range.x1))) {
        double some = fmax(1, 1e-6 * fabs(range.x1));
        range.x0 -= some / 2;
        range.x1 += some / 2;
    }
    if (from_zero) range.y0 = fmin(range.y0, 0);
    if (!(range.y1 - range.y0 > 1e-6 * fabs(range.y1))) {
        double some = range.y1 == 0 ? 1 : 0.1 * fabs(range.y1);
        if (!from_zero) range.y0 -= some;
        range.y1 += some;
    }
    range.log_y = !from_zero && range.y0 > 0 && range.y1 > 4 * range.y0;
    double low = qn__range_value(&range, -0.03), high = qn__range_value(&range, 1.05);
    if (!from_zero) range.y0 = low;
    range.y1 = high;
    return range;
}

double qn__range_height(const qn_range *range, double y)
{
    if (range->log_y) return log(y / range->y0) / log(range->y1 / range->y0);
    return (y - range->y0) / (range->y1 - range->y0);
}

double qn__range_value(const qn_range *range, double height)
{
    if (range->log_y) return range->y0 * pow(range->y1 / range->y0, height);
    return range->y0 + height * (range->y1 - range->y0);
}

/* ---- round numbers ---- */

/* The smallest of 1, 2, 2.5, 5 times a power of ten that cuts `span` into at most `parts`. */
static double round_step(double span, int parts)
{
    static const double rounds[] = {1, 2, 2.5, 5};
    double step = pow(10, floor(log10(span / parts)));
    for (int i = 0; i < 4; i++)
        if (span / (step * rounds[i]) <= parts) return step * rounds[i];
    return step * 10;
}

static int even_ticks(double low, double high, double step, double *ticks, int room)
{
    double first = ceil(low / step - 1e-9);
    int count = 0;
    for (int i = 0; i < room; i++) {
        double tick = (first + i) * step;
        if (tick > high) break;
        ticks[count++] = tick;
    }
    return count;
}

int qn__range_ticks_x(const qn_range *range, int wanted, double *ticks, int room)
{
    double step = fmax(1, ceil(round_step(range->x1 - range->x0, wanted))); /* whole steps */
    return even_ticks(range->x0, range->x1, step, ticks, room);
}

/* Many decades: powers of ten, or of more; few: the finest set of mantissas that is not too many.
 */
int qn__range_ticks_y(const qn_range *range, int wanted, double *ticks, int room)
{
    static const double sets[][10] = {{1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8},
                                      {1, 1.5, 2, 3, 4, 5, 7},
                                      {1, 2, 3, 5},
                                      {1, 2, 5},
                                      {1, 3},
                                      {1}};
    static const int sizes[] = {10, 7, 4, 3, 2, 1};
    if (!range->log_y)
        return even_ticks(range->y0, range->y1, round_step(range->y1 - range->y0, wanted), ticks,
                          room);
    double low = floor(log10(range->y0)), high = ceil(log10(range->y1));
    double decades = fmax(log10(range->y1 / range->y0), 0.1);
    int set = 0, count = 0, every = 1;
    while (set < 5 && decades * sizes[set] > wanted) set++;
    if (set == 5) every = (int)ceil(decades / wanted);
    for (int ten = (int)low; ten <= (int)high; ten++)
        for (int i = 0; i < sizes[set] && ten % every == 0; i++) {
            double tick = sets[set][i] * pow(10, ten);
            if (tick >= range->y0 && tick <= range->y1 && count < room) ticks[count++] = tick;
        }
    return count;
}
