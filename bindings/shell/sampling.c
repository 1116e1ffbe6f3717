/* The options of sampling as flags: one table in the library, no second one here. */
#include "shell.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 48, HELP_BYTES = 256 };

static void flag_name(const qn_option_info *info, char *name)
{
    snprintf(name, NAME_BYTES, "%s", info->key);
    for (char *c = name; *c; c++)
        if (*c == '_') *c = '-';
}

const qn_flag *qn__sampling_flags(const qn_flag *own)
{
    static qn_flag flags[QN_MAX_FLAGS];
    static char names[QN_MAX_FLAGS][NAME_BYTES], helps[QN_MAX_FLAGS][HELP_BYTES];
    const qn_option_info *info;
    int count = 0;
    for (; own->name && count < QN_MAX_FLAGS / 2; own++) flags[count++] = *own;
    for (int i = 0; (info = qn_sampler_option(i)) && count < QN_MAX_FLAGS - 2; i++, count++) {
        bool fallback = *info->fallback != 0;
        flag_name(info, names[count]);
        snprintf(helps[count], HELP_BYTES, "%s%s%s%s", info->help, fallback ? " (default: " : "",
                 info->fallback, fallback ? ")" : "");
        flags[count] = (qn_flag){names[count],
                                 strcmp(info->type, "int") == 0     ? "N"
                                 : strcmp(info->type, "float") == 0 ? "X"
                                                                    : "TEXT",
                                 helps[count]};
    }
    flags[count++] = (qn_flag){"sampling", "FILE",
                               "a JSON object of these keys, with _ for -; flags win over it"};
    flags[count] = (qn_flag){0};
    return flags;
}

static int wrong(const qn_args *args, const char *name)
{
    return qn__say_error(QN_EXIT_USAGE, "%s: --%s: %s", args->command->name, name, qn_last_error());
}

static int from_json(const qn_args *args, json_t *json, qn_sampler_options *options)
{
    const char *key;
    json_t *value;
    char number[64];
    if (!json_is_object(json))
        return qn__say_error(QN_EXIT_USAGE, "%s: --sampling: not a JSON object of keys",
                             args->command->name);
    json_object_foreach(json, key, value)
    {
        const char *text = json_string_value(value);
        if (json_is_integer(value))
            snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        else if (json_is_real(value))
            snprintf(number, sizeof number, "%.17g", json_real_value(value));
        else if (!text)
            return qn__say_error(QN_EXIT_USAGE,
                                 "%s: --sampling: \"%s\" is neither text nor a number",
                                 args->command->name, key);
        if (qn_sampler_options_set(options, key, text ? text : number) != QN_OK)
            return wrong(args, "sampling");
    }
    return QN_GO_ON;
}

int qn__sampling_options(const qn_args *args, qn_sampler_options *options, json_t **keeper)
{
    const qn_option_info *info;
    const char *path = qn__arg(args, "sampling");
    char name[NAME_BYTES];
    *keeper = NULL;
    qn_sampler_options_init(options);
    if (path) {
        char *text = NULL;
        size_t bytes;
        json_error_t error;
        int code = qn__read_file(path, &text, &bytes);
        if (code != QN_GO_ON) return code;
        *keeper = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
        free(text);
        if (!*keeper)
            return qn__say_error(QN_EXIT_USAGE, "%s: %s, line %d: %s", args->command->name, path,
                                 error.line, error.text);
        code = from_json(args, *keeper, options);
        if (code != QN_GO_ON) return code;
    }
    for (int i = 0; (info = qn_sampler_option(i)); i++) {
        flag_name(info, name);
        const char *value = qn__arg(args, name);
        if (value && qn_sampler_options_set(options, info->key, value) != QN_OK)
            return wrong(args, name);
    }
    return QN_GO_ON;
}
