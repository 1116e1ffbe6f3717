/* The loss curve: its points, and an SVG file. */
#include "shell.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool qn__points_add(qn_points *points, double x, double y)
{
    if (!isfinite(x) || !isfinite(y)) return true;
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

/* A running mean over about a fortieth of the run; over less at first, where the loss falls fast.
 */
bool qn__chart_smooth(qn_chart *chart)
{
    double mean = 0;
    chart->smooth.count = 0;
    for (int i = 0; i < chart->train.count; i++) {
        double steps = fmin(chart->train.count / 40.0, 1 + i / 10.0);
        mean += (chart->train.y[i] - mean) / fmax(steps, 1);
        if (!qn__points_add(&chart->smooth, chart->train.x[i], mean)) return false;
    }
    return true;
}

void qn__chart_free(qn_chart *chart)
{
    qn_points *all[] = {&chart->train, &chart->smooth, &chart->val};
    for (int i = 0; i < 3; i++) {
        free(all[i]->x);
        free(all[i]->y);
        *all[i] = (qn_points){0};
    }
}

static void widen(qn_range *range, const qn_points *points)
{
    for (int i = 0; i < points->count; i++) {
        range->x0 = fmin(range->x0, points->x[i]);
        range->x1 = fmax(range->x1, points->x[i]);
        range->y0 = fmin(range->y0, points->y[i]);
        range->y1 = fmax(range->y1, points->y[i]);
    }
}

qn_range qn__chart_range(const qn_chart *chart)
{
    qn_range range = {INFINITY, -INFINITY, INFINITY, -INFINITY};
    widen(&range, &chart->train);
    widen(&range, &chart->val);
    if (!isfinite(range.x0)) range = (qn_range){0, 1, 0, 1};
    if (range.x1 <= range.x0) range.x1 = range.x0 + 1;
    if (range.y1 <= range.y0) range.y1 = range.y0 + 1;
    range.log_y = range.y0 > 0 && range.y1 > 4 * range.y0;
    double low = qn__range_value(&range, -0.03), high = qn__range_value(&range, 1.03);
    range.y0 = low;
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

double qn__tick_step(double span, int parts)
{
    double step = pow(10, floor(log10(span / parts)));
    static const double rounds[] = {1, 2, 2.5, 5, 10};
    for (int i = 0; i < 5; i++)
        if (span / (step * rounds[i]) <= parts) return step * rounds[i];
    return step * 10;
}

/* ---- SVG ---- */

enum { WIDTH = 760, HEIGHT = 420, LEFT = 64, RIGHT = 20, TOP = 40, BOTTOM = 48 };

static double to_x(const qn_range *range, double x)
{
    return LEFT + (x - range->x0) / (range->x1 - range->x0) * (WIDTH - LEFT - RIGHT);
}

static double to_y(const qn_range *range, double y)
{
    return HEIGHT - BOTTOM - qn__range_height(range, y) * (HEIGHT - TOP - BOTTOM);
}

static void svg_line(FILE *out, const qn_range *range, const qn_points *points, const char *style)
{
    if (points->count == 0) return;
    fprintf(out, "<polyline fill=\"none\" %s points=\"", style);
    int stride = 1 + points->count / 2000; /* more than the eye sees, less than a viewer minds */
    for (int i = 0; i < points->count; i++)
        if (i % stride == 0 || i == points->count - 1)
            fprintf(out, "%.1f,%.1f ", to_x(range, points->x[i]), to_y(range, points->y[i]));
    fprintf(out, "\"/>\n");
}

static void svg_tick(FILE *out, const qn_range *range, double y)
{
    if (y < range->y0 || y > range->y1) return;
    fprintf(out,
            "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#dddddd\"/>"
            "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.10g</text>\n",
            LEFT, WIDTH - RIGHT, to_y(range, y), to_y(range, y), LEFT - 8, to_y(range, y) + 4, y);
}

static void svg_ticks(FILE *out, const qn_range *range)
{
    static const double rounds[] = {1, 1.5, 2, 3, 4, 5, 7};
    double step = qn__tick_step(range->y1 - range->y0, 8);
    if (!range->log_y) {
        for (double k = ceil(range->y0 / step); k * step <= range->y1; k++)
            svg_tick(out, range, k * step);
        return;
    }
    for (double ten = floor(log10(range->y0)); ten <= log10(range->y1); ten++)
        for (int i = 0; i < 7; i++) svg_tick(out, range, rounds[i] * pow(10, ten));
}

static void svg_axes(FILE *out, const qn_range *range)
{
    svg_ticks(out, range);
    double step = qn__tick_step(range->x1 - range->x0, 8);
    for (double x = ceil(range->x0 / step) * step; x <= range->x1; x += step)
        fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.10g</text>\n",
                to_x(range, x), HEIGHT - BOTTOM + 18, x);
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">step</text>\n",
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10);
}

static void svg_title(FILE *out, const char *title)
{
    fprintf(out, "<text x=\"%d\" y=\"24\" font-size=\"15\">", LEFT);
    for (; *title; title++) {
        if (*title == '<') fputs("&lt;", out);
        else if (*title == '&') fputs("&amp;", out);
        else if ((unsigned char)*title >= ' ') fputc(*title, out);
    }
    fputs("</text>\n", out);
}

int qn__chart_svg(const qn_chart *chart, const char *path)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (!out) return qn__say_error(QN_EXIT_OS, "out of memory");
    qn_range range = qn__chart_range(chart);
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d "
            "%d\" "
            "font-family=\"sans-serif\" font-size=\"12\" fill=\"#333333\">\n<rect width=\"%d\" "
            "height=\"%d\" "
            "fill=\"#ffffff\"/>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
    svg_title(out, chart->title);
    svg_axes(out, &range);
    svg_line(out, &range, &chart->train, "stroke=\"#a9c7e8\" stroke-width=\"1\"");
    svg_line(out, &range, &chart->smooth, "stroke=\"#1f5fa8\" stroke-width=\"2\"");
    svg_line(out, &range, &chart->val, "stroke=\"#d9622b\" stroke-width=\"2\"");
    for (int i = 0; i < chart->val.count; i++)
        fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"#d9622b\"/>\n",
                to_x(&range, chart->val.x[i]), to_y(&range, chart->val.y[i]));
    fprintf(out, "<text x=\"%d\" y=\"24\" text-anchor=\"end\" fill=\"#1f5fa8\">training</text>\n",
            WIDTH - RIGHT - (chart->val.count ? 80 : 0));
    if (chart->val.count)
        fprintf(out,
                "<text x=\"%d\" y=\"24\" text-anchor=\"end\" fill=\"#d9622b\">validation</text>\n",
                WIDTH - RIGHT);
    fprintf(out, "</svg>\n");
    bool good = fclose(out) == 0 && text;
    int code =
        good ? qn__write_file(path, text, bytes) : qn__say_error(QN_EXIT_OS, "out of memory");
    free(text);
    return code;
}
