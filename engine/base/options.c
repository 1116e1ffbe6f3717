#include "base/options.h"

#include "base/check.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const type_names[] = {"int", "float", "text", "flag"};

const qn_option_info *qn__option_info(const qn_option_table *table, int i)
{
    static _Thread_local qn_option_info info;
    if (i < 0 || i >= table->count) return NULL;
    const qn_option_row *row = &table->rows[i];
    info = (qn_option_info){row->key, type_names[row->type], row->fallback, row->help};
    return &info;
}

static void *field(const void *options, const qn_option_row *row)
{
    return (char *)(uintptr_t)options + row->offset;
}

static qn_status bad_value(const qn_option_row *row, const char *value, const char *wanted)
{
    return qn__fail(QN_BAD_ARGUMENT, "%s: \"%s\" is not %s in [%.9g, %.9g]", row->key, value,
                    wanted, row->low, row->high);
}

static qn_status set_text(const qn_option_table *table, const qn_option_row *row, char **text,
                          const char *value)
{
    if (!table->owns_text) {
        memcpy(text, &value, sizeof value);
        return QN_OK;
    }
    json_t *utf8 = json_string(value); /* or a saved configuration could not hold it */
    QN_CHECK(utf8 != NULL, "%s: the value is not valid UTF-8", row->key);
    json_decref(utf8);
    char *copy = strdup(value);
    if (!copy) return qn__fail(QN_OS_ERROR, "out of memory");
    free(*text);
    *text = copy;
    return QN_OK;
}

static qn_status set_row(const qn_option_table *table, void *options, const qn_option_row *row,
                         const char *value)
{
    bool blank = *value == 0 || isspace((unsigned char)*value);
    void *at = field(options, row);
    char *end;
    errno = 0;
    if (row->type == QN_OPTION_TEXT) return set_text(table, row, at, value);
    if (row->type == QN_OPTION_FLAG) {
        bool yes = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
        if (!yes && strcmp(value, "false") != 0 && strcmp(value, "0") != 0)
            return qn__fail(QN_BAD_ARGUMENT, "%s: \"%s\" is not true or false", row->key, value);
        *(bool *)at = yes;
    } else if (row->type == QN_OPTION_INT) {
        long long number = strtoll(value, &end, 10);
        if (blank || *end || errno || (double)number < row->low || (double)number > row->high)
            return bad_value(row, value, "a whole number");
        *(int64_t *)at = number;
    } else {
        double number = strtod(value, &end);
        if (blank || *end || !(number >= row->low && number <= row->high))
            return bad_value(row, value, "a number");
        *(double *)at = number;
    }
    return QN_OK;
}

/* QN_BAD_ARGUMENT when there is none. */
static qn_status find_row(const qn_option_table *table, const char *key, const qn_option_row **row)
{
    for (int i = 0; i < table->count; i++)
        if (strcmp(table->rows[i].key, key) == 0) {
            *row = &table->rows[i];
            return QN_OK;
        }
    return qn__fail(QN_BAD_ARGUMENT, "there is no key \"%s\"; `quernel %s --help` lists them", key,
                    table->command);
}

qn_status qn__options_set(const qn_option_table *table, void *options, const char *key,
                          const char *value)
{
    const qn_option_row *row = NULL;
    QN_TRY(find_row(table, key, &row));
    return set_row(table, options, row, value);
}

qn_status qn__options_defaults(const qn_option_table *table, void *options)
{
    for (int i = 0; i < table->count; i++)
        QN_TRY(set_row(table, options, &table->rows[i], table->rows[i].fallback));
    return QN_OK;
}

qn_status qn__options_check(const qn_option_table *table, const void *options)
{
    for (int i = 0; i < table->count; i++) {
        const qn_option_row *row = &table->rows[i];
        const void *at = field(options, row);
        if (row->type != QN_OPTION_INT && row->type != QN_OPTION_FLOAT) continue;
        double number =
            row->type == QN_OPTION_INT ? (double)*(const int64_t *)at : *(const double *)at;
        QN_CHECK(number >= row->low && number <= row->high, "%s: %.9g is not in [%.9g, %.9g]",
                 row->key, number, row->low, row->high);
    }
    return QN_OK;
}

void qn__options_free_texts(const qn_option_table *table, void *options)
{
    for (int i = 0; i < table->count && table->owns_text; i++) {
        if (table->rows[i].type != QN_OPTION_TEXT) continue;
        char **text = field(options, &table->rows[i]);
        free(*text);
        *text = NULL;
    }
}

/* ---- JSON ---- */

json_t *qn__options_to_json(const qn_option_table *table, const void *options)
{
    json_t *json = json_object();
    for (int i = 0; json && i < table->count; i++) {
        const qn_option_row *row = &table->rows[i];
        const void *at = field(options, row);
        json_t *value = row->type == QN_OPTION_INT     ? json_integer(*(const int64_t *)at)
                        : row->type == QN_OPTION_FLOAT ? json_real(*(const double *)at)
                        : row->type == QN_OPTION_TEXT  ? json_string(*(char *const *)at)
                                                       : json_boolean(*(const bool *)at);
        json_object_set_new(json, row->key, value);
    }
    return json;
}

static qn_status set_json(const qn_option_table *table, void *options, const char *key,
                          const json_t *value)
{
    char text[64];
    const char *word = text;
    if (json_is_string(value)) word = json_string_value(value);
    else if (json_is_integer(value))
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value)) snprintf(text, sizeof text, "%.17g", json_real_value(value));
    else if (json_is_boolean(value)) word = json_is_true(value) ? "true" : "false";
    else return qn__fail(QN_BAD_DATA, "\"%s\" is neither text, a number nor true or false", key);
    return qn__options_set(table, options, key, word);
}

qn_status qn__options_from_json(const qn_option_table *table, void *options, const json_t *json,
                                const char *origin)
{
    if (!json_is_object(json))
        return qn__fail(QN_BAD_DATA, "%s: not a JSON object of keys", origin);
    void *iterator = json_object_iter((json_t *)(uintptr_t)json);
    for (; iterator; iterator = json_object_iter_next((json_t *)(uintptr_t)json, iterator)) {
        qn_status status = set_json(table, options, json_object_iter_key(iterator),
                                    json_object_iter_value(iterator));
        if (status == QN_OS_ERROR) return status;
        if (status != QN_OK) return qn__wrap(QN_BAD_DATA, "%s: ", origin);
    }
    return QN_OK;
}
