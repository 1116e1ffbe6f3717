/* Charts as SVG: dark on light, round ticks, a legend, and a second axis where one is wanted. */
#include "chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOP = 40, BOTTOM = 44, MOST_TICKS = 40 };

static const char ink[] = "#222222", grid[] = "#e2e2e2", soft[] = "#555555";

/* ---- text ---- */

/* Characters that XML refuses, or that turn the direction of what follows and so can forge it. */
static bool may_stand(unsigned code)
{
    if (code < ' ') return code == '\n' || code == '\t' || code == '\r';
    if (code >= 0x7F && code < 0xA0) return false;
    if ((code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069)) return false;
    return !(code >= 0xD800 && code < 0xE000) && (code & 0xFFFE) != 0xFFFE && code <= 0x10FFFF;
}

/* Bytes of the UTF-8 character at `text`, and its code; what is no character counts as one byte of
 * code 0. */
static int character(const unsigned char *text, unsigned *code)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    int bytes = *text < 0x80       ? 1
                : *text >> 5 == 6  ? 2
                : *text >> 4 == 14 ? 3
                : *text >> 3 == 30 ? 4
                                   : 0;
    *code = bytes == 1 ? *text : *text & (0x7Fu >> bytes);
    for (int i = 1; i < bytes; i++) {
        if (text[i] >> 6 != 2) bytes = 0; /* a NUL at the end is no such byte, either */
        else *code = *code << 6 | (text[i] & 63u);
    }
    if (bytes > 0 && *code >= least[bytes]) return bytes;
    *code = 0;
    return 1;
}

void qn__put_escaped(FILE *out, const char *text)
{
    unsigned code;
    for (int bytes; *text; text += bytes) {
        bytes = character((const unsigned char *)text, &code);
        if (code == '<') fputs("&lt;", out);
        else if (code == '>') fputs("&gt;", out);
        else if (code == '&') fputs("&amp;", out);
        else if (code == '"') fputs("&quot;", out);
        else if (code == '\'') fputs("&#39;", out);
        else if (!may_stand(code)) fputs("\xEF\xBF\xBD", out);
        else fwrite(text, 1, (size_t)bytes, out);
    }
}

const char *qn__text_unit(double value, qn_unit unit)
{
    static char texts[8][48];
    static int next;
    if (unit == QN_UNIT_COUNT && fabs(value) >= 1) return qn__text_count(value);
    if (unit == QN_UNIT_BYTES) return qn__text_bytes(value);
    char *text = texts[next++ % 8];
    if (unit == QN_UNIT_PERCENT) snprintf(text, sizeof texts[0], "%.4g %%", value * 100);
    else snprintf(text, sizeof texts[0], "%.6g", fabs(value) < 1e-15 ? 0.0 : value);
    return text;
}

static void put_text(FILE *out, double x, double y, const char *more, const char *text)
{
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, more);
    qn__put_escaped(out, text);
    fputs("</text>\n", out);
}

/* Pixels of a text of size 12, nearly: enough to lay out a legend. */
static double text_width(const char *text)
{
    double width = 0;
    for (; *text; text++)
        if (((unsigned char)*text & 0xC0) != 0x80) width += strchr("iljtfr.,:|' ", *text) ? 4 : 7;
    return width;
}

/* ---- a panel ---- */

typedef struct frame {
    FILE *out;
    const qn_panel *panel;
    qn_range range;
    double left, right, top, bottom; /* the plot, in pixels */
} frame;

static double to_x(const frame *f, double x)
{
    return f->left + (x - f->range.x0) / (f->range.x1 - f->range.x0) * (f->right - f->left);
}

static double to_y(const frame *f, const qn_range *range, double y)
{
    return f->bottom - qn__range_height(range, y) * (f->bottom - f->top);
}

/* All points, or where they are dense the lowest and the highest of each pixel column: no spike is
 * lost. */
static void put_curve(const frame *f, const qn_range *range, const qn_curve *curve,
                      const char *more)
{
    const qn_points *p = curve->points;
    if (p->count == 0) return;
    fprintf(f->out,
            "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"%.3g\" stroke-linejoin=\"round\" "
            "%spoints=\"",
            curve->colour, curve->width, more);
    bool dense = p->count > 2 * (f->right - f->left);
    for (int i = 0, end; i < p->count; i = end) {
        int low = i, high = i;
        double column = floor(to_x(f, p->x[i]));
        for (end = i + 1; dense && end < p->count && floor(to_x(f, p->x[end])) == column; end++) {
            if (p->y[end] < p->y[low]) low = end;
            if (p->y[end] > p->y[high]) high = end;
        }
        int first = low < high ? low : high, last = low < high ? high : low;
        fprintf(f->out, "%.1f,%.1f ", to_x(f, p->x[first]), to_y(f, range, p->y[first]));
        if (last != first)
            fprintf(f->out, "%.1f,%.1f ", to_x(f, p->x[last]), to_y(f, range, p->y[last]));
    }
    fputs("\"/>\n", f->out);
    for (int i = 0; i < p->count && (curve->dots || p->count == 1) && p->count <= 200; i++)
        fprintf(f->out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.8\" fill=\"%s\"/>\n",
                to_x(f, p->x[i]), to_y(f, range, p->y[i]), curve->colour);
}

/* Bytes are round in powers of 1024. */
static int ticks_y(const qn_range *range, qn_unit unit, int wanted, double *ticks)
{
    double scale = 1;
    while (unit == QN_UNIT_BYTES && range->y1 / scale >= 1024) scale *= 1024;
    qn_range scaled = *range;
    scaled.y0 /= scale;
    scaled.y1 /= scale;
    int count = qn__range_ticks_y(&scaled, wanted, ticks, MOST_TICKS);
    for (int i = 0; i < count; i++) ticks[i] *= scale;
    return count;
}

/* All ticks of an even axis with as many decimals as the one that needs most. */
static void tick_text(const double *ticks, int count, bool log_y, qn_unit unit, int i, char *text,
                      size_t bytes)
{
    double factor = unit == QN_UNIT_PERCENT ? 100 : 1;
    int decimals = 0;
    bool plain = unit == QN_UNIT_NUMBER || unit == QN_UNIT_PERCENT;
    for (int k = 0; k < count && plain; k++)
        while (decimals < 7) {
            double shifted = ticks[k] * factor * pow(10, decimals);
            if (fabs(shifted - round(shifted)) < 1e-6 * fmax(1, fabs(shifted))) break;
            decimals++;
        }
    bool large = fabs(ticks[count - 1]) * factor >= 1e6;
    if (!plain || log_y || large || decimals == 7)
        snprintf(text, bytes, "%s", qn__text_unit(ticks[i], unit));
    else
        snprintf(text, bytes, "%.*f%s", decimals, ticks[i] * factor,
                 unit == QN_UNIT_PERCENT ? " %" : "");
}

static void put_axes(const frame *f)
{
    double ticks[MOST_TICKS];
    char text[64];
    const qn_panel *panel = f->panel;
    int lines = (int)((f->bottom - f->top) / 28), columns = (int)((f->right - f->left) / 76);
    int count = ticks_y(&f->range, panel->unit, lines > 2 ? lines : 2, ticks);
    for (int i = 0; i < count; i++) {
        double y = to_y(f, &f->range, ticks[i]);
        fprintf(f->out, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"%s\"/>\n", f->left, y, f->right,
                grid);
        tick_text(ticks, count, f->range.log_y, panel->unit, i, text, sizeof text);
        put_text(f->out, f->left - 8, y + 4, "text-anchor=\"end\"", text);
    }
    count = qn__range_ticks_x(&f->range, columns > 1 ? columns : 1, ticks, MOST_TICKS);
    for (int i = 0; i < count; i++) {
        double x = to_x(f, ticks[i]);
        fprintf(f->out, "<path d=\"M%.1f %.1fv5\" stroke=\"%s\"/>\n", x, f->bottom, soft);
        put_text(f->out, x, f->bottom + 18, "text-anchor=\"middle\"", qn__text_count(ticks[i]));
    }
    fprintf(f->out, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"%s\"/>\n", f->left, f->bottom, f->right,
            soft);
    put_text(f->out, (f->left + f->right) / 2, f->bottom + 36, "text-anchor=\"middle\"", "step");
    if (!panel->y_name) return;
    char turn[96];
    double middle = (f->top + f->bottom) / 2;
    snprintf(turn, sizeof turn, "text-anchor=\"middle\" transform=\"rotate(-90 14 %.1f)\"", middle);
    put_text(f->out, 14, middle, turn, panel->y_name);
}

/* The axis on the right has as many ticks as it likes, and no grid. */
static void put_right(const frame *f)
{
    double ticks[MOST_TICKS];
    const qn_curve *curve = &f->panel->right;
    char colour[64], turn[128], text[64];
    qn_range range = qn__range_of(curve->points, NULL, true);
    range.x0 = f->range.x0;
    range.x1 = f->range.x1;
    snprintf(colour, sizeof colour, "fill=\"%s\"", curve->colour);
    int count = ticks_y(&range, QN_UNIT_NUMBER, 6, ticks);
    for (int i = 0; i < count; i++) {
        double y = to_y(f, &range, ticks[i]);
        tick_text(ticks, count, false, QN_UNIT_NUMBER, i, text, sizeof text);
        fprintf(f->out, "<path d=\"M%.1f %.1fh5\" stroke=\"%s\"/>\n", f->right, y, curve->colour);
        put_text(f->out, f->right + 9, y + 4, colour, text);
    }
    put_curve(f, &range, curve, "stroke-dasharray=\"5 4\" ");
    double x = f->panel->width - 12, middle = (f->top + f->bottom) / 2;
    snprintf(turn, sizeof turn, "%s text-anchor=\"middle\" transform=\"rotate(90 %.1f %.1f)\"",
             colour, x, middle);
    put_text(f->out, x, middle, turn, curve->name);
}

/* From the right to the left, at the height of the title. */
static void put_legend(const frame *f)
{
    double x = f->right;
    for (int i = QN_MAX_CURVES; i >= 0; i--) {
        const qn_curve *curve = i == QN_MAX_CURVES ? &f->panel->right : &f->panel->curves[i];
        if (!curve->points || !curve->name || curve->points->count == 0) continue;
        x -= text_width(curve->name);
        put_text(f->out, x, 22, "", curve->name);
        fprintf(f->out, "<path d=\"M%.1f 18h16\" stroke=\"%s\" stroke-width=\"%.3g\"%s/>\n", x - 22,
                curve->colour, curve->width, i == QN_MAX_CURVES ? " stroke-dasharray=\"5 4\"" : "");
        x -= 40;
    }
}

/* Wide enough for the widest tick. */
static double margin_of(const qn_panel *panel, const qn_range *range)
{
    double ticks[MOST_TICKS], widest = 24;
    char text[64];
    int count = ticks_y(range, panel->unit, 8, ticks);
    for (int i = 0; i < count; i++) {
        tick_text(ticks, count, range->log_y, panel->unit, i, text, sizeof text);
        widest = fmax(widest, text_width(text));
    }
    return widest + 16 + (panel->y_name ? 18 : 0);
}

void qn__panel_svg(FILE *out, const qn_panel *panel)
{
    static const qn_points none;
    const qn_points *one = panel->curves[0].points ? panel->curves[0].points : &none, *other = NULL;
    bool right = panel->right.points && panel->right.points->count > 0;
    for (int i = 1; i < QN_MAX_CURVES; i++)
        if (panel->curves[i].points && panel->curves[i].dots) other = panel->curves[i].points;
    frame f = {.out = out, .panel = panel, .range = qn__range_of(one, other, panel->from_zero)};
    f.left = margin_of(panel, &f.range);
    f.right = panel->width - (right ? 84 : 20);
    f.top = TOP;
    f.bottom = panel->height - BOTTOM;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d "
            "%d\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"12\" "
            "fill=\"%s\">\n<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n",
            panel->width, panel->height, panel->width, panel->height, ink, panel->width,
            panel->height);
    put_text(out, f.left, 22, "font-size=\"14\" font-weight=\"600\"", panel->title);
    put_axes(&f);
    if (right) put_right(&f);
    for (int i = 0; i < QN_MAX_CURVES; i++)
        if (panel->curves[i].points) put_curve(&f, &f.range, &panel->curves[i], "");
    put_legend(&f);
    fputs("</svg>\n", out);
}

qn_panel qn__loss_panel(const qn_history *h, const char *title, int width, int height)
{
    return (qn_panel){.title = title,
                      .y_name = "loss (nats)",
                      .width = width,
                      .height = height,
                      .curves = {{&h->loss, NULL, "#b3cce8", 1, false},
                                 {&h->smooth, "training", "#1a5ba6", 2, false},
                                 {&h->val, "validation", "#c4501b", 2, true}},
                      .right = {&h->lr, "learning rate", "#4d7f35", 1.5, false}};
}
