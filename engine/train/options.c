#include "train/options.h"

#include "base/check.h"
#include "model/arch.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum field_type { FIELD_INT, FIELD_FLOAT, FIELD_TEXT, FIELD_FLAG } field_type;

static const char *const type_names[] = {"int", "float", "text", "flag"};

static const struct row {
    const char *key;
    field_type type;
    size_t offset;
    const char *fallback;
    double low, high;
    const char *help;
} rows[] = {
#define QN_OPTION(key, type, fallback, low, high, help)                                            \
    {#key, FIELD_##type, offsetof(qn_train_options, key), fallback, low, high, help},
#include "train/option_list.def"
#undef QN_OPTION
};

enum { ROWS = sizeof rows / sizeof rows[0] };

const qn_option_info *qn_train_option(int i)
{
    static _Thread_local qn_option_info info;
    if (i < 0 || i >= ROWS) return NULL;
    info = (qn_option_info){rows[i].key, type_names[rows[i].type], rows[i].fallback, rows[i].help};
    return &info;
}

static void *field(const qn_train_options *options, const struct row *row)
{
    return (char *)(uintptr_t)options + row->offset;
}

static qn_status bad_value(const struct row *row, const char *value, const char *wanted)
{
    if (row->type == FIELD_INT || row->type == FIELD_FLOAT)
        return qn__fail(QN_BAD_ARGUMENT, "%s: \"%s\" is not %s in [%.9g, %.9g]", row->key, value,
                        wanted, row->low, row->high);
    return qn__fail(QN_BAD_ARGUMENT, "%s: \"%s\" is not %s", row->key, value, wanted);
}

static qn_status set_row(qn_train_options *options, const struct row *row, const char *value)
{
    char *end;
    errno = 0;
    if (row->type == FIELD_TEXT) {
        json_t *utf8 = json_string(value); /* or train.json could not hold it */
        QN_CHECK(utf8 != NULL, "%s: the value is not valid UTF-8", row->key);
        json_decref(utf8);
        char *copy = strdup(value);
        if (!copy) return qn__fail(QN_OS_ERROR, "out of memory");
        free(*(char **)field(options, row));
        *(char **)field(options, row) = copy;
    } else if (row->type == FIELD_FLAG) {
        bool yes = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
        if (!yes && strcmp(value, "false") != 0 && strcmp(value, "0") != 0)
            return bad_value(row, value, "true or false");
        *(bool *)field(options, row) = yes;
    } else if (row->type == FIELD_INT) {
        long long number = strtoll(value, &end, 10);
        if (end == value || *end || errno || (double)number < row->low ||
            (double)number > row->high)
            return bad_value(row, value, "a whole number");
        *(int64_t *)field(options, row) = number;
    } else {
        double number = strtod(value, &end);
        if (end == value || *end || !(number >= row->low && number <= row->high))
            return bad_value(row, value, "a number");
        *(double *)field(options, row) = number;
    }
    return QN_OK;
}

static const struct row *find_row(const char *key)
{
    for (int i = 0; i < ROWS; i++)
        if (strcmp(rows[i].key, key) == 0) return &rows[i];
    return NULL;
}

qn_status qn_train_options_set(qn_train_options *options, const char *key, const char *value)
{
    const struct row *row = find_row(key);
    if (!row)
        return qn__fail(QN_BAD_ARGUMENT,
                        "there is no key \"%s\"; `quernel train --help` lists them", key);
    return set_row(options, row, value);
}

qn_status qn_train_options_create(qn_train_options **options)
{
    *options = calloc(1, sizeof **options);
    if (!*options) return qn__fail(QN_OS_ERROR, "out of memory");
    for (int i = 0; i < ROWS; i++) {
        qn_status status = set_row(*options, &rows[i], rows[i].fallback);
        if (status == QN_OK) continue;
        qn_train_options_destroy(options);
        return status;
    }
    return QN_OK;
}

void qn_train_options_destroy(qn_train_options **options)
{
    if (!*options) return;
    for (int i = 0; i < ROWS; i++)
        if (rows[i].type == FIELD_TEXT) free(*(char **)field(*options, &rows[i]));
    free(*options);
    *options = NULL;
}

json_t *qn__train_options_to_json(const qn_train_options *options)
{
    json_t *json = json_object();
    for (int i = 0; json && i < ROWS; i++) {
        const void *at = field(options, &rows[i]);
        json_t *value = rows[i].type == FIELD_INT     ? json_integer(*(const int64_t *)at)
                        : rows[i].type == FIELD_FLOAT ? json_real(*(const double *)at)
                        : rows[i].type == FIELD_TEXT  ? json_string(*(char *const *)at)
                                                      : json_boolean(*(const bool *)at);
        json_object_set_new(json, rows[i].key, value);
    }
    return json;
}

static qn_status set_json(qn_train_options *options, const struct row *row, const json_t *value,
                          const char *origin)
{
    char text[64];
    const char *word = text;
    if (json_is_string(value)) word = json_string_value(value);
    else if (json_is_integer(value))
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value)) snprintf(text, sizeof text, "%.17g", json_real_value(value));
    else if (json_is_boolean(value)) word = json_is_true(value) ? "true" : "false";
    else
        return qn__fail(QN_BAD_DATA, "%s: \"%s\" is neither text, a number nor true or false",
                        origin, row->key);
    qn_status status = set_row(options, row, word);
    return status == QN_OK ? QN_OK : qn__wrap(QN_BAD_DATA, "%s: ", origin);
}

qn_status qn__train_options_from_json(qn_train_options *options, const json_t *json,
                                      const char *origin)
{
    const char *key;
    const json_t *value;
    if (!json_is_object(json))
        return qn__fail(QN_BAD_DATA, "%s: not a JSON object of keys", origin);
    void *iterator = json_object_iter((json_t *)(uintptr_t)json);
    for (; iterator; iterator = json_object_iter_next((json_t *)(uintptr_t)json, iterator)) {
        key = json_object_iter_key(iterator);
        value = json_object_iter_value(iterator);
        const struct row *row = find_row(key);
        if (!row)
            return qn__fail(QN_BAD_DATA,
                            "%s: there is no key \"%s\"; `quernel train --help` lists them", origin,
                            key);
        QN_TRY(set_json(options, row, value, origin));
    }
    return QN_OK;
}

qn_status qn_train_options_load(qn_train_options *options, const char *path)
{
    json_t *json;
    QN_TRY(qn__json_load(path, &json));
    qn_status status = qn__train_options_from_json(options, json, path);
    json_decref(json);
    return status;
}

qn_status qn_train_options_json(const qn_train_options *options, char **json)
{
    json_t *root = qn__train_options_to_json(options);
    *json = root ? json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
    json_decref(root);
    return *json ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
}

qn_status qn__train_options_copy(const qn_train_options *from, qn_train_options **to)
{
    json_t *json = qn__train_options_to_json(from);
    QN_TRY(qn_train_options_create(to));
    qn_status status = qn__train_options_from_json(*to, json, "options");
    json_decref(json);
    return status;
}

qn_status qn__train_options_config(const qn_train_options *o, int32_t vocab,
                                   qn_model_config *config)
{
    qn_arch arch;
    QN_TRY(qn_arch_find(o->arch, &arch));
    QN_TRY(qn_model_config_named(arch, NULL, config));
    config->vocab = vocab;
    config->layers = (int32_t)o->layers;
    config->heads = (int32_t)o->heads;
    config->kv_heads = (int32_t)(o->kv_heads ? o->kv_heads : o->heads);
    config->embed = (int32_t)o->embed;
    int64_t ffn = qn__arch(arch)->swiglu ? (o->embed * 8 / 3 + 31) / 32 * 32 : 4 * o->embed;
    config->ffn = (int32_t)(o->ffn ? o->ffn : ffn);
    config->head_size = (int32_t)o->head_size;
    config->window = (int32_t)o->window;
    config->context = (int32_t)o->context;
    config->norm_eps = (float)o->norm_eps;
    config->rope_theta = (float)o->rope_theta;
    if (arch == QN_GPT2) config->bias = !o->no_bias;
    config->tied = !o->untied;
    return qn_model_config_check(config);
}
