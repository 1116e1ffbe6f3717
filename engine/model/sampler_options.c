/* The table of sampling options. */
#include "base/check.h"
#include "model/sampler.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef enum field_type { FIELD_INT, FIELD_FLOAT, FIELD_TEXT } field_type;

static const char *const type_names[] = {"int", "float", "text"};

static const struct row {
    const char *key;
    field_type type;
    size_t offset;
    const char *fallback;
    double low, high;
    const char *help;
} rows[] = {
#define QN_OPTION(key, type, fallback, low, high, help)                                            \
    {#key, FIELD_##type, offsetof(qn_sampler_options, key), fallback, low, high, help},
#include "model/sampler_list.def"
#undef QN_OPTION
};

enum { ROWS = sizeof rows / sizeof rows[0] };

const qn_option_info *qn_sampler_option(int i)
{
    static _Thread_local qn_option_info info;
    if (i < 0 || i >= ROWS) return NULL;
    info = (qn_option_info){rows[i].key, type_names[rows[i].type], rows[i].fallback, rows[i].help};
    return &info;
}

static qn_status bad_value(const struct row *row, const char *value, const char *wanted)
{
    return qn__fail(QN_BAD_ARGUMENT, "%s: \"%s\" is not %s in [%.9g, %.9g]", row->key, value,
                    wanted, row->low, row->high);
}

static qn_status set_row(qn_sampler_options *options, const struct row *row, const char *value)
{
    char *at = (char *)options + row->offset, *end;
    bool blank = *value == 0 || isspace((unsigned char)*value);
    errno = 0;
    if (row->type == FIELD_TEXT) {
        memcpy(at, &value, sizeof value);
    } else if (row->type == FIELD_INT) {
        int64_t number = strtoll(value, &end, 10);
        if (blank || *end || errno || (double)number < row->low || (double)number > row->high)
            return bad_value(row, value, "a whole number");
        memcpy(at, &number, sizeof number);
    } else {
        double number = strtod(value, &end);
        if (blank || *end || !(number >= row->low && number <= row->high))
            return bad_value(row, value, "a number");
        memcpy(at, &number, sizeof number);
    }
    return QN_OK;
}

qn_status qn_sampler_options_set(qn_sampler_options *options, const char *key, const char *value)
{
    QN_CHECK(options->size == sizeof *options, "qn_sampler_options.size is %u, this library's %zu",
             options->size, sizeof *options);
    for (int i = 0; i < ROWS; i++)
        if (strcmp(rows[i].key, key) == 0) return set_row(options, &rows[i], value);
    return qn__fail(QN_BAD_ARGUMENT,
                    "sampling has no key \"%s\"; `quernel generate --help` lists them", key);
}

void qn_sampler_options_init(qn_sampler_options *options)
{
    *options = (qn_sampler_options){.size = sizeof *options};
    for (int i = 0; i < ROWS; i++)
        if (set_row(options, &rows[i], rows[i].fallback) != QN_OK) abort(); /* the table is wrong */
}

qn_status qn__sampler_options_check(const qn_sampler_options *options)
{
    QN_CHECK(options->size == sizeof *options, "qn_sampler_options.size is %u, this library's %zu",
             options->size, sizeof *options);
    for (int i = 0; i < ROWS; i++) {
        const char *at = (const char *)options + rows[i].offset;
        double number = 0;
        int64_t whole = 0;
        if (rows[i].type == FIELD_TEXT) continue;
        if (rows[i].type == FIELD_FLOAT) memcpy(&number, at, sizeof number);
        else {
            memcpy(&whole, at, sizeof whole);
            number = (double)whole;
        }
        QN_CHECK(number >= rows[i].low && number <= rows[i].high, "%s: %.9g is not in [%.9g, %.9g]",
                 rows[i].key, number, rows[i].low, rows[i].high);
    }
    QN_CHECK(options->mirostat != 1, "mirostat: 1 is not done; 2 is, and 0 is off");
    return QN_OK;
}
