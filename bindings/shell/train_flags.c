/* The keys of a training run as flags: one table in the library, no second one here. */
#include "shell.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 48, HELP_BYTES = 256 };

static bool is_switch(const qn_option_info *info)
{
    return strcmp(info->type, "flag") == 0;
}

static bool on_by_default(const qn_option_info *info)
{
    return info->fallback &&
           (strcmp(info->fallback, "true") == 0 || strcmp(info->fallback, "1") == 0);
}

/* "min_lr" is --min-lr; the flag "bias", which is on by default, is --no-bias. */
static void flag_name(const qn_option_info *info, char *name)
{
    bool no = is_switch(info) && on_by_default(info);
    snprintf(name, NAME_BYTES, "%s%s", no ? "no-" : "", info->key);
    for (char *c = name; *c; c++)
        if (*c == '_') *c = '-';
}

static const char *value_word(const qn_option_info *info)
{
    if (is_switch(info)) return NULL;
    if (strcmp(info->type, "int") == 0) return "N";
    return strcmp(info->type, "float") == 0 ? "X" : "TEXT";
}

static bool has(const qn_flag *flags, const char *name)
{
    for (; flags->name; flags++)
        if (strcmp(flags->name, name) == 0) return true;
    return false;
}

const qn_flag *qn__train_flags(const qn_flag *own)
{
    static qn_flag flags[QN_MAX_FLAGS];
    static char names[QN_MAX_FLAGS][NAME_BYTES], helps[QN_MAX_FLAGS][HELP_BYTES];
    const qn_option_info *info;
    int count = 0;
    for (int i = 0; (info = qn_train_option(i)) && count < QN_MAX_FLAGS - 8; i++) {
        bool fallback = !is_switch(info) && info->fallback && *info->fallback;
        flag_name(info, names[count]);
        if (has(own, names[count])) continue;
        snprintf(helps[count], HELP_BYTES, "%s%s%s%s", info->help, fallback ? " (default: " : "",
                 fallback ? info->fallback : "", fallback ? ")" : "");
        flags[count] = (qn_flag){names[count], value_word(info), helps[count]};
        count++;
    }
    for (; own->name && count < QN_MAX_FLAGS - 1; own++) flags[count++] = *own;
    flags[count] = (qn_flag){0};
    return flags;
}

int qn__train_options(const qn_args *args, qn_train_options **options)
{
    return qn__train_options_over(args, NULL, options);
}

int qn__train_options_over(const qn_args *args, const char *const (*defaults)[2],
                           qn_train_options **options)
{
    const qn_option_info *info;
    const char *config = qn__arg(args, "config");
    char name[NAME_BYTES];
    qn_status status = qn_train_options_create(options);
    for (; status == QN_OK && defaults && (*defaults)[0]; defaults++)
        status = qn_train_options_set(*options, (*defaults)[0], (*defaults)[1]);
    if (status == QN_OK && config) status = qn_train_options_load(*options, config);
    for (int i = 0; status == QN_OK && (info = qn_train_option(i)); i++) {
        flag_name(info, name);
        const char *value = has(args->flags, name) ? qn__arg(args, name) : NULL;
        if (value && is_switch(info)) value = on_by_default(info) ? "false" : "true";
        if (value) status = qn_train_options_set(*options, info->key, value);
    }
    if (status == QN_OK) return QN_GO_ON;
    int code = qn__say_status(status);
    qn_train_options_destroy(options);
    return code;
}

/* What a flag would be given to set this value; "" when it is the default or of the wrong type. */
static const char *value_text(const qn_option_info *info, const json_t *value, char *text,
                              size_t bytes)
{
    const char *fallback = info->fallback ? info->fallback : "";
    if (json_is_string(value)) {
        const char *word = json_string_value(value);
        return strcmp(word, fallback) != 0 ? word : "";
    }
    if (json_is_integer(value)) {
        snprintf(text, bytes, "%lld", (long long)json_integer_value(value));
        return strcmp(text, fallback) != 0 ? text : "";
    }
    if (!json_is_real(value) || json_real_value(value) == strtod(fallback, NULL)) return "";
    snprintf(text, bytes, "%.15g", json_real_value(value));
    if (strtod(text, NULL) != json_real_value(value))
        snprintf(text, bytes, "%.17g", json_real_value(value));
    return text;
}

void qn__train_command(const json_t *keys, FILE *out)
{
    const qn_option_info *info;
    char name[NAME_BYTES], number[64];
    fputs("quernel train", out);
    for (int i = 0; (info = qn_train_option(i)); i++) {
        const json_t *value = json_object_get(keys, info->key);
        if (strcmp(info->key, "resume") == 0) continue; /* the whole run again */
        flag_name(info, name);
        if (is_switch(info)) {
            if (json_is_boolean(value) && json_is_true(value) != on_by_default(info))
                fprintf(out, " --%s", name);
            continue;
        }
        const char *word = value_text(info, value, number, sizeof number);
        if (*word) fprintf(out, " --%s %s", name, qn__text_quoted(word));
    }
}
