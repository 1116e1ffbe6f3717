#include "base/json.h"

#include "base/check.h"
#include "base/fs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64 };

/* jansson limits recursion to 2048; ours is stricter, checked before it parses. */
static bool depth_fits(const char *text, size_t bytes)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < bytes; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\') i++;
            else if (c == '"') in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > MAX_DEPTH) return false;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return true;
}

/* Integers of more digits than fit 64 bits, as model_max_length in many files has, become real
 * numbers: "e0" is put behind them. NULL: out of memory. The caller frees. */
static char *without_long_integers(const char *text, size_t bytes, size_t *made)
{
    char *out = malloc(bytes + bytes / 9 + 8); /* two more for at least 19 */
    bool in_string = false;
    size_t to = 0;
    for (size_t i = 0; out && i < bytes;) {
        size_t digits = 0;
        while (!in_string && i + digits < bytes && strchr("0123456789", text[i + digits]) &&
               text[i + digits])
            digits++;
        size_t copied = digits ? digits : 1;
        if (in_string && text[i] == '\\' && i + 1 < bytes) copied = 2;
        else if (text[i] == '"') in_string = !in_string;
        memcpy(out + to, text + i, copied);
        to += copied;
        i += copied;
        bool part = (to > digits && strchr(".eE+", out[to - digits - 1])) ||
                    (i < bytes && strchr(".eE", text[i]));
        if (digits < 19 || part) continue;
        out[to++] = 'e';
        out[to++] = '0';
    }
    *made = to;
    return out;
}

/* NULL: not JSON. */
static json_t *parse(const char *text, size_t bytes, json_error_t *error)
{
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, error);
    if (root || json_error_code(error) != json_error_numeric_overflow) return root;
    char *other = without_long_integers(text, bytes, &bytes);
    json_error_t again;
    if (other) root = json_loadb(other, bytes, JSON_REJECT_DUPLICATES, &again);
    free(other);
    return root;
}

qn_status qn__json_parse(const char *text, size_t bytes, const char *origin, json_t **root)
{
    json_error_t error;
    *root = NULL;
    if (!depth_fits(text, bytes))
        return qn__fail(QN_BAD_DATA, "%s: JSON nested deeper than %d levels", origin, MAX_DEPTH);
    *root = parse(text, bytes, &error);
    if (!*root)
        return qn__fail(QN_BAD_DATA, "%s:%d:%d: not valid JSON: %s", origin, error.line,
                        error.column, error.text);
    return QN_OK;
}

qn_status qn__json_parse_line(const char *text, size_t bytes, const char *path, uint64_t line,
                              json_t **root)
{
    json_error_t error;
    *root = NULL;
    if (!depth_fits(text, bytes))
        return qn__fail(QN_BAD_DATA, "%s:%" PRIu64 ": JSON nested deeper than %d levels", path,
                        line, MAX_DEPTH);
    *root = parse(text, bytes, &error);
    if (*root) return QN_OK;
    return qn__fail(QN_BAD_DATA, "%s:%" PRIu64 ":%d: not valid JSON: %s", path, line, error.column,
                    error.text);
}

qn_status qn__json_load(const char *path, json_t **root)
{
    char *text;
    size_t bytes;
    *root = NULL;
    QN_TRY(qn__file_read(path, &text, &bytes));
    qn_status status = qn__json_parse(text, bytes, path, root);
    free(text);
    return status;
}

qn_status qn__json_save(const char *path, const json_t *root)
{
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    if (!text) return qn__fail(QN_OS_ERROR, "%s: out of memory while writing JSON", path);
    qn_status status = qn__file_replace(path, text, strlen(text));
    free(text);
    return status;
}

static qn_status missing(const char *origin, const char *key, bool required)
{
    if (!required) return QN_OK;
    return qn__fail(QN_BAD_DATA, "%s: \"%s\" is missing", origin, key);
}

static qn_status wrong_type(const char *origin, const char *key, const char *wanted)
{
    return qn__fail(QN_BAD_DATA, "%s: \"%s\" is not %s", origin, key, wanted);
}

qn_status qn__json_i64(const json_t *object, const char *origin, const char *key, bool required,
                       int64_t low, int64_t high, int64_t *value)
{
    const json_t *member = json_object_get(object, key);
    if (!member || json_is_null(member)) return missing(origin, key, required);
    if (!json_is_integer(member)) return wrong_type(origin, key, "an integer");
    int64_t got = json_integer_value(member);
    if (got < low || got > high)
        return qn__fail(QN_BAD_DATA, "%s: \"%s\" is %lld, outside [%lld, %lld]", origin, key,
                        (long long)got, (long long)low, (long long)high);
    *value = got;
    return QN_OK;
}

qn_status qn__json_f64(const json_t *object, const char *origin, const char *key, bool required,
                       double *value)
{
    const json_t *member = json_object_get(object, key);
    if (!member || json_is_null(member)) return missing(origin, key, required);
    if (!json_is_number(member)) return wrong_type(origin, key, "a number");
    *value = json_number_value(member);
    return QN_OK;
}

qn_status qn__json_bool(const json_t *object, const char *origin, const char *key, bool required,
                        bool *value)
{
    const json_t *member = json_object_get(object, key);
    if (!member || json_is_null(member)) return missing(origin, key, required);
    if (!json_is_boolean(member)) return wrong_type(origin, key, "true or false");
    *value = json_is_true(member);
    return QN_OK;
}

qn_status qn__json_string(const json_t *object, const char *origin, const char *key, bool required,
                          const char **value)
{
    const json_t *member = json_object_get(object, key);
    if (!member || json_is_null(member)) return missing(origin, key, required);
    if (!json_is_string(member)) return wrong_type(origin, key, "a string");
    *value = json_string_value(member);
    return QN_OK;
}
