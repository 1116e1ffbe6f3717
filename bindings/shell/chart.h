/* Curves of a run, and charts of them: SVG, and dots in a terminal. */
#ifndef QN_SHELL_CHART_H
#define QN_SHELL_CHART_H

#include "shell.h"

/* ---- points (chart.c) ---- */

typedef struct qn_points {
    double *x, *y;
    int count, room;
} qn_points;

typedef struct qn_range {
    double x0, x1, y0, y1;
    bool log_y; /* a long way down: equal ratios are equal heights */
} qn_range;

/* Values that are not finite, or beyond 1e18, are left out. false: out of memory. */
bool qn__points_add(qn_points *points, double x, double y);
void qn__points_free(qn_points *points);
/* A mean over a fiftieth of the points on either side, over fewer near the ends: it does not lag.
 */
bool qn__points_smooth(const qn_points *points, qn_points *smooth);
/* The y that half of the points are below; NaN without points. */
double qn__points_median(const qn_points *points);
/* The range of both (either may be empty), with a margin. */
qn_range qn__range_of(const qn_points *one, const qn_points *other, bool from_zero);
/* Where y lies between y0 (0) and y1 (1), and back. */
double qn__range_height(const qn_range *range, double y);
double qn__range_value(const qn_range *range, double height);
/* Round values in the range, at most `room`, about `wanted`; returns how many. */
int qn__range_ticks_x(const qn_range *range, int wanted, double *ticks, int room);
int qn__range_ticks_y(const qn_range *range, int wanted, double *ticks, int room);

/* ---- what metrics.jsonl says (history.c) ---- */

typedef struct qn_history {
    qn_points loss, smooth, val, lr, grad_norm, tokens_per_s, mfu, bytes, loss_scale;
    json_t *samples, *skipped; /* arrays of lines of metrics.jsonl */
    int64_t step, steps;
    double seconds; /* of all steps */
} qn_history;

/* Exit code or QN_GO_ON. Lines that are not JSON objects with a step are passed over. */
int qn__history_read(const char *path, qn_history *history);
void qn__history_free(qn_history *history);

/* ---- SVG (chart_svg.c) ---- */

typedef enum qn_unit { QN_UNIT_NUMBER, QN_UNIT_COUNT, QN_UNIT_BYTES, QN_UNIT_PERCENT } qn_unit;

typedef struct qn_curve {
    const qn_points *points;
    const char *name; /* in the legend; NULL: not there */
    const char *colour;
    double width;
    bool dots; /* few points: each is marked */
} qn_curve;

enum { QN_MAX_CURVES = 4 };

typedef struct qn_panel {
    const char *title, *y_name;
    int width, height; /* pixels */
    qn_unit unit;
    bool from_zero;
    qn_curve curves[QN_MAX_CURVES]; /* ended by one without points */
    qn_curve right;                 /* against an axis of its own on the right; points NULL: none */
} qn_panel;

/* One <svg> element. */
void qn__panel_svg(FILE *out, const qn_panel *panel);
/* The loss curve of a run, width x height pixels. */
qn_panel qn__loss_panel(const qn_history *history, const char *title, int width, int height);
/* Text for HTML and SVG: what has a meaning there is escaped, what is not UTF-8 or a control
 * character becomes U+FFFD (line ends and tabs stay). */
void qn__put_escaped(FILE *out, const char *text);
/* As an axis shows it; one of a few buffers used in turn. */
const char *qn__text_unit(double value, qn_unit unit);

/* ---- a terminal (chart_term.c) ---- */

/* In braille dots. */
void qn__chart_term(const qn_history *history, const char *title, FILE *out, int columns);

/* ---- the pages of a run (page.c) ---- */

/* Write FOLDER/loss.svg and FOLDER/report.html from what lies in FOLDER. Exit code or QN_GO_ON. */
int qn__write_pages(const char *folder, const qn_history *history);

#endif
