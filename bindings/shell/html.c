/* The parts of report.html: one file that needs no other, no network and no script. */
#include "html.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { MOST_SAMPLES = 200, MOST_SKIPPED = 100, MOST_CHECKPOINTS = 200 };

static const char style[] =
    "body{font:15px/1.5 system-ui,'DejaVu Sans',sans-serif;color:#222;background:#fff;"
    "max-width:1060px;margin:0 auto;padding:24px 28px 60px}"
    "h1{font-size:25px;margin:0;overflow-wrap:anywhere}h2{font-size:18px;margin:36px 0 10px}"
    ".state{color:#555;margin:2px 0 18px}"
    ".figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;"
    "margin:0 0 20px}.figures div{border:1px solid #ddd;border-radius:6px;padding:8px 12px}"
    ".figures b{display:block;font-size:19px;font-weight:600}.figures span{color:#555;"
    "font-size:13px}svg{max-width:100%;height:auto;display:block}"
    ".small{display:grid;grid-template-columns:repeat(auto-fit,minmax(400px,1fr));gap:14px}"
    "table{border-collapse:collapse;font-size:14px}td,th{padding:3px 18px 3px 0;text-align:left;"
    "vertical-align:top;border-bottom:1px solid #eee;overflow-wrap:anywhere}"
    "td:first-child{white-space:nowrap}th{color:#555;font-weight:600}td.n,th.n{text-align:right}"
    ".set td{font-weight:600}.columns{columns:2 400px;column-gap:30px}.columns table{width:100%}"
    ".columns tr{break-inside:avoid}"
    "pre{background:#f6f6f4;border:1px solid #e4e4e0;border-radius:6px;padding:10px "
    "14px;margin:4px "
    "0 14px;white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate;"
    "font:13px/1.5 ui-monospace,'DejaVu Sans Mono',monospace}"
    "summary{cursor:pointer}.note{color:#555}"
    ".bar{background:#1a5ba6;height:10px;display:inline-block;border-radius:2px}";

static void cell(FILE *out, const char *text, bool number)
{
    fputs(number ? "<td class=\"n\">" : "<td>", out);
    qn__put_escaped(out, text);
    fputs("</td>", out);
}

static void heading(FILE *out, const char *text)
{
    fputs("<h2>", out);
    qn__put_escaped(out, text);
    fputs("</h2>\n", out);
}

/* ---- top ---- */

void qn__html_begin(FILE *out, const qn_report *r)
{
    const qn_history *h = r->history;
    char when[64] = "";
    time_t now = time(NULL);
    struct tm parts;
    if (gmtime_r(&now, &parts)) strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", &parts);
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta "
          "name=\"viewport\" "
          "content=\"width=device-width\">\n<meta http-equiv=\"Content-Security-Policy\" "
          "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>",
          out);
    qn__put_escaped(out, r->folder);
    fprintf(out, "</title>\n<style>%s</style></head><body>\n<h1>", style);
    qn__put_escaped(out, r->folder);
    fprintf(out, "</h1>\n<p class=\"state\">step %s of %s%s &middot; written %s by quernel ",
            qn__text_count((double)h->step), qn__text_count((double)h->steps),
            h->step >= h->steps ? ", complete" : "", when);
    qn__put_escaped(out, qn_version_string());
    fputs("</p>\n", out);
}

void qn__html_end(FILE *out)
{
    fputs("</body></html>\n", out);
}

static void figure(FILE *out, const char *value, const char *name)
{
    fputs("<div><b>", out);
    qn__put_escaped(out, value);
    fputs("</b><span>", out);
    qn__put_escaped(out, name);
    fputs("</span></div>\n", out);
}

static double last_of(const qn_points *points)
{
    return points->count ? points->y[points->count - 1] : NAN;
}

static void number_figure(FILE *out, double value, qn_unit unit, const char *name)
{
    if (isfinite(value)) figure(out, qn__text_unit(value, unit), name);
}

void qn__html_figures(FILE *out, const qn_report *r)
{
    const qn_history *h = r->history;
    int best = 0;
    char name[96];
    fputs("<div class=\"figures\">\n", out);
    number_figure(out, last_of(&h->smooth), QN_UNIT_NUMBER, "training loss");
    for (int i = 0; i < h->val.count; i++)
        if (h->val.y[i] < h->val.y[best]) best = i;
    if (h->val.count) {
        snprintf(name, sizeof name, "best validation loss, step %s",
                 qn__text_count(h->val.x[best]));
        number_figure(out, h->val.y[best], QN_UNIT_NUMBER, name);
    }
    number_figure(out, qn__points_median(&h->tokens_per_s), QN_UNIT_COUNT, "tokens/s, median");
    number_figure(out, qn__points_median(&h->mfu), QN_UNIT_PERCENT, "MFU, median");
    number_figure(out, last_of(&h->bytes), QN_UNIT_BYTES, "device memory");
    number_figure(out, qn__get_number(r->run, "parameters"), QN_UNIT_COUNT, "parameters");
    number_figure(out, (double)h->step * qn__get_number(r->run, "tokens_per_step"), QN_UNIT_COUNT,
                  "tokens trained on");
    figure(out, qn__text_seconds(h->seconds), "in steps");
    fputs("</div>\n", out);
}

/* ---- curves ---- */

static void small(FILE *out, const char *title, const qn_points *points, qn_unit unit,
                  bool from_zero)
{
    const qn_panel panel = {.title = title,
                            .width = 500,
                            .height = 230,
                            .unit = unit,
                            .from_zero = from_zero,
                            .curves = {{points, NULL, "#1a5ba6", 1.2, false}}};
    if (points->count) qn__panel_svg(out, &panel);
}

void qn__html_curves(FILE *out, const qn_report *r)
{
    const qn_history *h = r->history;
    qn_panel loss = qn__loss_panel(h, "loss", 1004, 460);
    qn__panel_svg(out, &loss);
    fputs("<div class=\"small\">\n", out);
    small(out, "learning rate", &h->lr, QN_UNIT_NUMBER, true);
    small(out, "norm of the gradient, before clipping", &h->grad_norm, QN_UNIT_NUMBER, false);
    small(out, "tokens/s", &h->tokens_per_s, QN_UNIT_COUNT, true);
    small(out, "MFU: model flops, of the measured peak", &h->mfu, QN_UNIT_PERCENT, true);
    small(out, "device memory", &h->bytes, QN_UNIT_BYTES, true);
    small(out, "loss scale", &h->loss_scale, QN_UNIT_NUMBER, false);
    fputs("</div>\n", out);
}

/* ---- texts ---- */

static void sample(FILE *out, const json_t *line, bool open)
{
    const char *step = qn__text_count(qn__get_number(line, "step"));
    double val = qn__get_number(line, "val_loss");
    fprintf(out, "<details%s><summary>step %s", open ? " open" : "", step);
    if (isfinite(val)) fprintf(out, ", validation loss %.4f", val);
    fputs("</summary><pre dir=\"auto\">", out);
    qn__put_escaped(out, qn__get_text(line, "sample"));
    fputs("</pre></details>\n", out);
}

/* The newest first; the rest folded away. */
void qn__html_samples(FILE *out, const qn_report *r)
{
    size_t count = json_array_size(r->history->samples), shown = 0;
    if (count == 0) return;
    heading(out, "Samples");
    fputs("<p class=\"note\">after the prompt &ldquo;", out);
    qn__put_escaped(out, qn__get_text(r->keys, "sample_prompt"));
    fputs("&rdquo;, at each validation</p>\n", out);
    for (size_t i = count; i-- > 0 && shown < MOST_SAMPLES; shown++)
        sample(out, json_array_get(r->history->samples, i), shown < 2);
    if (shown < count)
        fprintf(out, "<p class=\"note\">%zu earlier ones are in metrics.jsonl</p>\n",
                count - shown);
}

void qn__html_skipped(FILE *out, const qn_report *r)
{
    const json_t *skipped = r->history->skipped, *line;
    size_t count = json_array_size(skipped), i;
    if (count == 0) return;
    heading(out, "Skipped steps");
    fputs(
        "<table><tr><th class=\"n\">step</th><th class=\"n\">loss</th><th class=\"n\">norm of the "
        "gradient</th><th>why</th></tr>\n",
        out);
    json_array_foreach((json_t *)(uintptr_t)skipped, i, line)
    {
        if (i >= MOST_SKIPPED) break;
        fputs("<tr>", out);
        cell(out, qn__text_count(qn__get_number(line, "step")), true);
        cell(out, qn__text_unit(qn__get_number(line, "loss"), QN_UNIT_NUMBER), true);
        cell(out, qn__text_unit(qn__get_number(line, "grad_norm"), QN_UNIT_NUMBER), true);
        cell(out, qn__get_text(line, "skipped"), false);
        fputs("</tr>\n", out);
    }
    fputs("</table>\n", out);
    if (count > MOST_SKIPPED)
        fprintf(out, "<p class=\"note\">and %zu more, in metrics.jsonl</p>\n",
                count - MOST_SKIPPED);
}

/* ---- tables ---- */

/* A value of JSON as text: the caller frees. Objects and arrays: NULL. */
static char *value_text(const json_t *value)
{
    if (json_is_object(value) || json_is_array(value)) return NULL;
    if (json_is_string(value)) return strdup(json_string_value(value));
    if (!json_is_real(value)) return json_dumps(value, JSON_ENCODE_ANY);
    char text[32];
    snprintf(text, sizeof text, "%.9g", json_real_value(value));
    return strdup(text);
}

static void row(FILE *out, const char *key, const char *value, bool set)
{
    fputs(set ? "<tr class=\"set\">" : "<tr>", out);
    cell(out, key, false);
    cell(out, value, false);
    fputs("</tr>\n", out);
}

static bool is_default(const char *key, const char *value)
{
    const qn_option_info *info;
    for (int i = 0; (info = qn_train_option(i)); i++) {
        if (strcmp(info->key, key) != 0) continue;
        const char *fallback = info->fallback ? info->fallback : "";
        if (strcmp(info->type, "float") == 0) return strtod(fallback, NULL) == strtod(value, NULL);
        return strcmp(fallback, value) == 0;
    }
    return false;
}

static void object_rows(FILE *out, const json_t *object, bool keys_of_run)
{
    void *at = json_object_iter((json_t *)(uintptr_t)object);
    for (; at; at = json_object_iter_next((json_t *)(uintptr_t)object, at)) {
        char *text = value_text(json_object_iter_value(at));
        const char *key = json_object_iter_key(at), *ending = strstr(key, "_bytes");
        double number = json_number_value(json_object_iter_value(at));
        if (text && ending && ending[6] == 0 && number >= 1024) {
            free(text);
            text = strdup(qn__text_bytes(number));
        }
        if (text) row(out, key, text, keys_of_run && !is_default(key, text));
        free(text);
    }
}

void qn__html_configuration(FILE *out, const qn_report *r)
{
    if (!json_is_object(r->keys)) return;
    heading(out, "To repeat the run");
    char *command = NULL;
    size_t bytes = 0;
    FILE *text = open_memstream(&command, &bytes);
    if (text) {
        qn__train_command(r->keys, text);
        if (fclose(text) == 0 && command) {
            fputs("<pre>", out);
            qn__put_escaped(out, command);
            fputs("</pre>\n", out);
        }
        free(command);
    }
    heading(out, "Configuration");
    fputs("<p class=\"note\">bold: not the default</p>\n<div class=\"columns\"><table>\n", out);
    object_rows(out, r->keys, true);
    fputs("</table></div>\n", out);
}

static void memory_rows(FILE *out, const json_t *memory)
{
    double planned = qn__get_number(memory, "planned_bytes");
    const json_t *parts = json_object_get(memory, "parts"), *part;
    size_t i;
    fputs("<table>\n", out);
    json_array_foreach((json_t *)(uintptr_t)parts, i, part)
    {
        double bytes = qn__get_number(part, "bytes");
        double share = planned > 0 ? fmin(fmax(bytes / planned, 0), 1) : 0;
        fputs("<tr>", out);
        cell(out, qn__get_text(part, "name"), false);
        cell(out, qn__text_bytes(bytes), true);
        fprintf(out, "<td><span class=\"bar\" style=\"width:%.0fpx\"></span></td></tr>\n",
                1 + 300 * share);
    }
    fputs("<tr class=\"set\">", out);
    cell(out, "planned", false);
    cell(out, qn__text_bytes(planned), true);
    fputs("<td></td></tr>\n<tr class=\"set\">", out);
    cell(out, "allocated", false);
    cell(out, qn__text_bytes(qn__get_number(memory, "used_bytes")), true);
    fputs("<td></td></tr>\n</table>\n", out);
}

void qn__html_machine(FILE *out, const qn_report *r)
{
    const json_t *device = json_object_get(r->run, "device");
    const json_t *memory = json_object_get(r->run, "memory");
    if (json_is_object(memory)) {
        heading(out, "Device memory");
        memory_rows(out, memory);
    }
    if (!json_is_object(device)) return;
    heading(out, "Model and device");
    fputs("<div class=\"columns\"><table>\n", out);
    object_rows(out, r->run, false);
    object_rows(out, device, false);
    fputs("</table></div>\n", out);
}

/* ---- checkpoints ---- */

static int is_checkpoint(const struct dirent *entry)
{
    const char *name = entry->d_name;
    return strncmp(name, "step-", 5) == 0 && name[5] &&
           name[5 + strspn(name + 5, "0123456789")] == 0;
}

/* Bytes of all files of a checkpoint; -1: it has no manifest, and does not exist. */
static double bytes_in(const char *folder, const char *name, time_t *when)
{
    char path[4096];
    struct stat facts;
    double bytes = 0;
    if ((size_t)snprintf(path, sizeof path, "%s/%s/MANIFEST.json", folder, name) >= sizeof path ||
        stat(path, &facts) != 0)
        return -1;
    *when = facts.st_mtime;
    path[strlen(path) - strlen("/MANIFEST.json")] = 0;
    DIR *list = opendir(path);
    const struct dirent *entry;
    while (list && (entry = readdir(list)))
        if (fstatat(dirfd(list), entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(facts.st_mode))
            bytes += (double)facts.st_size;
    if (list) closedir(list);
    return bytes;
}

void qn__html_checkpoints(FILE *out, const qn_report *r)
{
    struct dirent **list = NULL;
    int count = scandir(r->folder, &list, is_checkpoint, alphasort), shown = 0;
    for (int i = count - 1; i >= 0; i--) {
        time_t when = 0;
        struct tm parts;
        char date[64] = "";
        double bytes = bytes_in(r->folder, list[i]->d_name, &when);
        if (bytes >= 0 && shown < MOST_CHECKPOINTS) {
            if (shown++ == 0) {
                heading(out, "Checkpoints");
                fputs("<table>\n", out);
            }
            if (gmtime_r(&when, &parts)) strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", &parts);
            fputs("<tr>", out);
            cell(out, list[i]->d_name, false);
            cell(out, qn__text_bytes(bytes), true);
            cell(out, date, false);
            fputs("</tr>\n", out);
        }
        free(list[i]);
    }
    if (shown) fputs("</table>\n", out);
    free(list);
}
