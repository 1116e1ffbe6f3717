/* The loss curve in a terminal: braille characters are 2 x 4 dots each. */
#include "chart.h"

#include <langinfo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 14, LABEL = 9 };

/* Bit of the dot in column 0 or 1, row 0 to 3, of U+2800 + bits. */
static const unsigned char dot_bits[4][2] = {
    {0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};

typedef struct canvas {
    unsigned char *dots,
        *val; /* [ROWS][columns]: dots of both curves; 1 where the validation curve passes */
    int columns;
    qn_range range;
} canvas;

static void put_dot(canvas *c, double x, double y, bool val)
{
    int dot_x = (int)lround((x - c->range.x0) / (c->range.x1 - c->range.x0) * (c->columns * 2 - 1));
    int dot_y = (int)lround((1 - qn__range_height(&c->range, y)) * (ROWS * 4 - 1));
    if (dot_x < 0 || dot_y < 0 || dot_x >= c->columns * 2 || dot_y >= ROWS * 4) return;
    int cell = dot_y / 4 * c->columns + dot_x / 2;
    c->dots[cell] |= dot_bits[dot_y % 4][dot_x % 2];
    if (val) c->val[cell] = 1;
}

/* Straight between the points, close enough for a dot at each column and each row that it crosses.
 */
static void put_curve(canvas *c, const qn_points *points, bool val)
{
    double dots_x = c->columns * 2 / (c->range.x1 - c->range.x0);
    for (int i = 0; i < points->count; i++) {
        put_dot(c, points->x[i], points->y[i], val);
        if (i == 0) continue;
        double x = points->x[i - 1], dx = points->x[i] - x;
        double y = points->y[i - 1], dy = points->y[i] - y;
        double rise = qn__range_height(&c->range, y + dy) - qn__range_height(&c->range, y);
        int parts = 1 + (int)fmin(4096, 2 * fmax(fabs(dx) * dots_x, fabs(rise) * ROWS * 4));
        for (int p = 1; p < parts; p++) put_dot(c, x + dx * p / parts, y + dy * p / parts, val);
    }
}

static void print_cell(FILE *out, unsigned bits, bool unicode)
{
    if (bits == 0) fputc(' ', out);
    else if (!unicode) fputc('*', out);
    else fprintf(out, "\xE2%c%c", (int)(0xA0 + (bits >> 6)), (int)(0x80 + (bits & 63)));
}

static void print_row(const canvas *c, FILE *out, int row, bool colour, bool unicode)
{
    double value = qn__range_value(&c->range, 1 - (row + 0.5) / ROWS);
    if (row % 3 == 0) fprintf(out, "%*.3f ", LABEL - 2, value);
    else fprintf(out, "%*s", LABEL - 1, "");
    fputs(unicode ? "\u2502" : "|", out);
    int shown = -1; /* colour now: 0 training, 1 validation */
    for (int x = 0; x < c->columns; x++) {
        int cell = row * c->columns + x;
        if (colour && c->dots[cell] && c->val[cell] != shown) {
            shown = c->val[cell];
            fputs(shown ? "\033[33m" : "\033[36m", out);
        }
        print_cell(out, c->dots[cell], unicode);
    }
    fputs(colour && shown >= 0 ? "\033[0m\n" : "\n", out);
}

void qn__chart_term(const qn_history *history, const char *title, FILE *out, int columns)
{
    canvas c = {.columns = columns - LABEL - 1,
                .range = qn__range_of(&history->loss, &history->val, false)};
    if (c.columns > 100) c.columns = 100;
    if (c.columns < 16 || history->loss.count < 2) return;
    size_t cells = (size_t)ROWS * (size_t)c.columns;
    c.dots = calloc(cells, 1);
    c.val = calloc(cells, 1);
    if (c.dots && c.val) {
        bool colour = isatty(fileno(out)) && !getenv("NO_COLOR");
        bool unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
        put_curve(&c, &history->smooth, false);
        put_curve(&c, &history->val, true);
        fprintf(out, "%*s %s%s\n", LABEL - 1, "", title,
                history->val.count && colour
                    ? "  (\033[36mtraining\033[0m, \033[33mvalidation\033[0m)"
                    : "");
        for (int row = 0; row < ROWS; row++) print_row(&c, out, row, colour, unicode);
        char left[32], right[32];
        snprintf(left, sizeof left, "%.0f", c.range.x0);
        snprintf(right, sizeof right, "step %.0f", c.range.x1);
        fprintf(out, "%*s%s%*s\n", LABEL, "", left, c.columns - (int)strlen(left), right);
    }
    free(c.dots);
    free(c.val);
}
