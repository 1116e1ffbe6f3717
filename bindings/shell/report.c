/* Errors, JSON, figures for people, and opening what most commands open. */
#include "shell.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int qn__say_error(int code, const char *format, ...)
{
    char line[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (char *c = line; *c; c++) /* one line, whatever a file name or a compiler put in */
        if ((unsigned char)*c < ' ') *c = ' ';
    qn__progress_end(false);
    fprintf(stderr, "quernel: %s\n", line);
    return code;
}

int qn__say_status(qn_status status)
{
    return qn__say_error(qn_status_exit_code(status), "%s", qn_last_error());
}

/* ---- JSON ---- */

int qn__print_json(json_t *value)
{
    char *text = value ? json_dumps(value, JSON_PRESERVE_ORDER | JSON_COMPACT) : NULL;
    json_decref(value);
    if (!text) return qn__say_error(QN_EXIT_OS, "out of memory");
    puts(text);
    fflush(stdout); /* who reads a pipe wants each line when it is there */
    free(text);
    return QN_EXIT_OK;
}

json_t *qn__take_json(char *text)
{
    json_error_t error;
    json_t *value = json_loads(text ? text : "", 0, &error);
    qn_free(text);
    if (!value) qn__say_error(70, "the library wrote wrong JSON: %s; please report it", error.text);
    return value;
}

json_t *qn__json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

double qn__get_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

const char *qn__get_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* ---- figures ---- */

enum { TEXTS = 8, TEXT_BYTES = 96 };

static char *next_text(void)
{
    static char texts[TEXTS][TEXT_BYTES];
    static int next;
    return texts[next++ % TEXTS];
}

const char *qn__text_bytes(double bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
    char *text = next_text();
    int unit = 0;
    while (bytes >= 1024 && unit < 5) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, TEXT_BYTES, unit == 0 || bytes >= 100 ? "%.0f %s" : "%.1f %s", bytes,
             units[unit]);
    return text;
}

const char *qn__text_seconds(double seconds)
{
    char *text = next_text();
    if (!(seconds >= 0) || seconds > 1e9) snprintf(text, TEXT_BYTES, "?");
    else if (seconds < 1) snprintf(text, TEXT_BYTES, "%.1f ms", seconds * 1e3);
    else if (seconds < 60) snprintf(text, TEXT_BYTES, "%.0f s", seconds);
    else if (seconds < 3600)
        snprintf(text, TEXT_BYTES, "%dm%02ds", (int)seconds / 60, (int)seconds % 60);
    else snprintf(text, TEXT_BYTES, "%dh%02dm", (int)(seconds / 3600), (int)(seconds / 60) % 60);
    return text;
}

const char *qn__text_count(double count)
{
    char digits[40], *text = next_text();
    if (!(fabs(count) < 1e15)) {
        snprintf(text, TEXT_BYTES, "?");
        return text;
    }
    int length = snprintf(digits, sizeof digits, "%.0f", count), at = 0;
    for (int i = 0; i < length; i++) {
        text[at++] = digits[i];
        int left = length - 1 - i;
        if (left > 0 && left % 3 == 0 && digits[i] != '-') text[at++] = ',';
    }
    text[at] = 0;
    return text;
}

const char *qn__text_quoted(const char *word)
{
    static char texts[4][4096];
    static int next;
    char *text = texts[next++ % 4];
    bool plain = *word && !strpbrk(word, " \t\n'\"\\$`!*?[](){}<>|&;#~");
    size_t at = 0;
    if (plain && strlen(word) < sizeof texts[0]) return strcpy(text, word);
    text[at++] = '\'';
    for (; *word && at < sizeof texts[0] - 8; word++) {
        if (*word == '\'') at += (size_t)sprintf(text + at, "'\\''");
        else text[at++] = *word;
    }
    text[at++] = '\'';
    text[at] = 0;
    return text;
}

void qn__print_profile(FILE *out, const json_t *rows)
{
    size_t index;
    const json_t *row;
    double total = 0;
    json_array_foreach(rows, index, row) total += qn__get_number(row, "seconds");
    fprintf(out, "%-20s %9s %10s %7s %9s %7s %7s  %s\n", "op", "calls", "time", "share", "GFLOP/s",
            "GB/s", "% peak", "bound by");
    json_array_foreach(rows, index, row)
    {
        double seconds = qn__get_number(row, "seconds");
        fprintf(out, "%-20s %9.0f %10s %6.1f%% %9.1f %7.1f %6.1f%%  %s\n", qn__get_text(row, "op"),
                qn__get_number(row, "calls"), qn__text_seconds(seconds),
                total > 0 ? 100 * seconds / total : 0.0, qn__get_number(row, "gflops"),
                qn__get_number(row, "gbytes_per_s"), qn__get_number(row, "percent_of_peak"),
                qn__get_text(row, "bound"));
    }
    fprintf(out, "%-20s %9s %10s\n", "all", "", qn__text_seconds(total));
}

/* ---- opening things ---- */

int qn__open_device(const char *selector, bool profile, qn_device **device)
{
    qn_device_options options = {.size = sizeof options, .selector = selector, .profile = profile};
    qn_status status = qn_device_open(&options, device);
    return status == QN_OK ? QN_GO_ON : qn__say_status(status);
}

/* GGUF files have their tokenizer in them. */
static bool is_gguf(const char *path)
{
    char magic[4] = "";
    FILE *file = fopen(path, "rb");
    bool same = file && fread(magic, 1, 4, file) == 4 && memcmp(magic, "GGUF", 4) == 0;
    if (file) fclose(file);
    return same;
}

int qn__open_tokenizer(const char *path, const char *model_path, qn_tokenizer **tokenizer)
{
    *tokenizer = NULL;
    if (!path && access(model_path, F_OK) != 0)
        return qn__say_error(QN_EXIT_OS, "%s: cannot open: %s", model_path, strerror(errno));
    if (!path && !qn__is_folder(model_path) && !is_gguf(model_path))
        return qn__say_error(QN_EXIT_USAGE, "%s has no tokenizer in it: give --tokenizer PATH",
                             model_path);
    qn_status status = qn_tokenizer_load(path ? path : model_path, tokenizer);
    return status == QN_OK ? QN_GO_ON : qn__say_status(status);
}

int qn__open_model(const qn_args *args, qn_device *device, const char *path, qn_model **model)
{
    int64_t context = 0;
    int code = qn__arg_int(args, "context", 1, 1 << 24, &context);
    if (code != QN_GO_ON) return code;
    const qn_model_options options = {.size = sizeof options,
                                      .adapter = qn__arg(args, "adapter"),
                                      .context = (int32_t)context,
                                      .type = qn__arg(args, "type"),
                                      .cache_type = qn__arg(args, "cache-type")};
    qn_status status = qn_model_open(device, path, &options, model);
    if (status != QN_OK) return qn__say_status(status);
    const int32_t taken = qn_model_get_config(*model)->context;
    const int32_t stated = qn_model_stated_context(*model);
    if (context == 0 && taken < stated)
        qn__note("context %d, of the %d that the model states (--context N takes more)", taken,
                 stated);
    return QN_GO_ON;
}

int qn__check_vocab(const qn_tokenizer *tokenizer, const qn_model *model)
{
    int32_t tokens = qn_tokenizer_vocab_size(tokenizer), vocab = qn_model_get_config(model)->vocab;
    if (tokens <= vocab) return QN_GO_ON;
    return qn__say_error(QN_EXIT_USAGE,
                         "the tokenizer has %d tokens, the model %d: they were not made for each "
                         "other; give the model's own with --tokenizer",
                         (int)tokens, (int)vocab);
}
