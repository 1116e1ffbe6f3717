/* A schema at a time is put into a copy of what came before it: types and lists of values become
 * what both have, bounds the narrower one, properties are told apart or become an allOf of their
 * own. Of several anyOf every choice is put with every other's. */
#include "base/check.h"
#include "infer/schema.h"

#include <string.h>

enum { MOST_MERGES = 4096, MOST_DEPTH = 64, MOST_CHOICES = 256 };

static qn_status fail_at(const qn_schema_merger *m, qn_status status, const char *key,
                         const char *what)
{
    return qn__fail(status, "%s: \"%s\" %s", m->origin, key, what);
}

static qn_status no_memory(void)
{
    return qn__fail(QN_OS_ERROR, "out of memory");
}

/* jansson's readers take what may be changed; ours are not. */
static json_t *loose(const json_t *value)
{
    return (json_t *)(uintptr_t)value;
}

static bool is_in(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(word, *list) == 0) return true;
    return false;
}

bool qn__schema_is_note(const char *key)
{
    static const char *const notes[] = {
        "title",      "description", "default",     "examples", "$schema",   "$id", "$comment",
        "deprecated", "$defs",       "definitions", "readOnly", "writeOnly", NULL};
    return is_in(key, notes);
}

bool qn__schema_is_joint(const json_t *schema)
{
    static const char *const alone[] = {"$ref", "anyOf", "oneOf", NULL};
    const char *key;
    json_t *value;
    size_t said = 0, of_alone = 0;
    if (json_object_get(schema, "allOf")) return true;
    json_object_foreach(loose(schema), key, value)
    {
        said += !qn__schema_is_note(key);
        of_alone += is_in(key, alone);
    }
    return of_alone > 0 && said > 1;
}

qn_status qn__schema_find(const qn_schema_merger *m, const char *name, const json_t **found)
{
    const json_t *at = m->root;
    *found = NULL;
    if (*name++ != '#')
        return fail_at(m, QN_UNSUPPORTED, "$ref", "is not local: only #/... is done");
    while (*name == '/') {
        char key[256];
        size_t length = 0;
        for (name++; *name && *name != '/'; name++) {
            char letter = *name;
            if (letter == '~' && (name[1] == '0' || name[1] == '1'))
                letter = *++name == '0' ? '~' : '/';
            if (length + 1 >= sizeof key) return fail_at(m, QN_BAD_DATA, "$ref", "is too long");
            key[length++] = letter;
        }
        key[length] = 0;
        at = json_is_array(at) && length == 1 && key[0] >= '0' && key[0] <= '9'
                 ? json_array_get(at, (size_t)(key[0] - '0'))
                 : json_object_get(at, key);
    }
    if (!at || *name) return fail_at(m, QN_BAD_DATA, "$ref", "leads nowhere");
    *found = at;
    return QN_OK;
}

/* ---- one keyword with what another schema says of it ---- */

static qn_status set(json_t *into, const char *key, json_t *value)
{
    return json_object_set_new(into, key, value) == 0 ? QN_OK : no_memory();
}

static qn_status merge_number(const qn_schema_merger *m, json_t *into, const char *key,
                              const json_t *other, bool larger)
{
    const json_t *one = json_object_get(into, key);
    if (!json_is_number(other)) return fail_at(m, QN_BAD_DATA, key, "is no number");
    if (one && (json_number_value(one) > json_number_value(other)) == larger) return QN_OK;
    return set(into, key, json_incref(loose(other)));
}

/* Both lists, where a word is a list of one. Integers are numbers. */
static qn_status merge_types(const qn_schema_merger *m, json_t *into, const json_t *other)
{
    const json_t *one = json_object_get(into, "type");
    json_t *both = json_array();
    if (!both) return no_memory();
    size_t ones = json_is_array(one) ? json_array_size(one) : 1;
    size_t others = json_is_array(other) ? json_array_size(other) : 1;
    for (size_t i = 0; i < ones * others; i++) {
        const json_t *a = json_is_array(one) ? json_array_get(one, i / others) : one;
        const json_t *b = json_is_array(other) ? json_array_get(other, i % others) : other;
        const char *x = json_string_value(a), *y = json_string_value(b);
        if (!x || !y) continue;
        bool same = strcmp(x, y) == 0;
        bool narrower = strcmp(x, "number") == 0 && strcmp(y, "integer") == 0;
        bool wider = strcmp(x, "integer") == 0 && strcmp(y, "number") == 0;
        if (same || narrower || wider) json_array_append(both, loose(narrower ? b : a));
    }
    size_t left = json_array_size(both);
    json_t *value = left == 1 ? json_incref(json_array_get(both, 0)) : json_incref(both);
    json_decref(both);
    if (left > 0) return set(into, "type", value);
    json_decref(value);
    return fail_at(m, QN_BAD_DATA, "type", "leaves no type that all of the schemas have");
}

/* Values in both lists. */
static qn_status merge_values(const qn_schema_merger *m, json_t *into, const json_t *other)
{
    const json_t *one = json_object_get(into, "enum");
    json_t *both = json_array();
    if (!both) return no_memory();
    for (size_t i = 0; i < json_array_size(one); i++)
        for (size_t k = 0; k < json_array_size(other); k++)
            if (json_equal(json_array_get(one, i), json_array_get(other, k))) {
                json_array_append(both, json_array_get(one, i));
                break;
            }
    if (json_array_size(both) > 0) return set(into, "enum", both);
    json_decref(both);
    return fail_at(m, QN_BAD_DATA, "enum", "leaves no value that all of the schemas have");
}

/* {"allOf": [one, other]} */
static json_t *joint(const json_t *one, const json_t *other)
{
    json_t *list = json_array(), *made = json_object();
    if (list) json_array_append(list, loose(one));
    if (list) json_array_append(list, loose(other));
    if (made) json_object_set_new(made, "allOf", list);
    else json_decref(list);
    return made;
}

static bool is_closed(const json_t *schema)
{
    return json_is_false(json_object_get(schema, "additionalProperties"));
}

/* What both name must fulfil both; what one alone names is left out where the other is closed. */
static qn_status merge_properties(json_t *into, const json_t *from)
{
    const json_t *one = json_object_get(into, "properties");
    const json_t *other = json_object_get(from, "properties");
    const char *key;
    json_t *value, *both = json_object();
    if (!both) return no_memory();
    json_object_foreach(loose(one), key, value)
    {
        const json_t *twin = json_object_get(other, key);
        if (twin) json_object_set_new(both, key, joint(value, twin));
        else if (!is_closed(from)) json_object_set(both, key, value);
    }
    json_object_foreach(loose(other), key, value)
    {
        if (!json_object_get(one, key) && !is_closed(into)) json_object_set(both, key, value);
    }
    return set(into, "properties", both);
}

static qn_status merge_required(const qn_schema_merger *m, json_t *into, const json_t *other)
{
    if (!json_is_array(other)) return fail_at(m, QN_BAD_DATA, "required", "is not a list of names");
    json_t *both = json_copy(json_object_get(into, "required"));
    if (!both) both = json_array();
    if (!both) return no_memory();
    if (json_array_extend(both, loose(other)) != 0) {
        json_decref(both);
        return no_memory();
    }
    return set(into, "required", both);
}

/* Choices of one with choices of the other. */
static qn_status merge_choices(qn_schema_merger *m, json_t *into, const json_t *other)
{
    const json_t *one = json_object_get(into, "anyOf");
    size_t count = json_array_size(other);
    if (count == 0) return fail_at(m, QN_BAD_DATA, "anyOf", "is not a list of schemas");
    if (!one) return set(into, "anyOf", json_incref(loose(other)));
    if (json_array_size(one) * count > MOST_CHOICES)
        return fail_at(m, QN_UNSUPPORTED, "anyOf", "beside others makes too many choices");
    json_t *both = json_array();
    for (size_t i = 0; both && i < json_array_size(one) * count; i++)
        json_array_append_new(
            both, joint(json_array_get(one, i / count), json_array_get(other, i % count)));
    return both ? set(into, "anyOf", both) : no_memory();
}

static qn_status merge_key(qn_schema_merger *m, json_t *into, const char *key, const json_t *value)
{
    static const char *const lower[] = {"minimum", "exclusiveMinimum", "minLength", "minItems",
                                        NULL};
    static const char *const upper[] = {"maximum", "exclusiveMaximum", "maxLength", "maxItems",
                                        NULL};
    const json_t *one = json_object_get(into, key);
    if (is_in(key, lower)) return merge_number(m, into, key, value, true);
    if (is_in(key, upper)) return merge_number(m, into, key, value, false);
    if (strcmp(key, "required") == 0) return merge_required(m, into, value);
    if (strcmp(key, "properties") == 0) return QN_OK; /* done, with additionalProperties */
    if (strcmp(key, "anyOf") == 0 || strcmp(key, "oneOf") == 0)
        return merge_choices(m, into, value);
    if (strcmp(key, "const") == 0) {
        json_t *list = json_array();
        if (!list || json_array_append(list, loose(value)) != 0) return no_memory();
        qn_status status = QN_OK;
        if (json_object_get(into, "enum")) status = merge_values(m, into, list);
        else return set(into, "enum", list);
        json_decref(list);
        return status;
    }
    if (!one || json_equal(loose(one), loose(value)))
        return set(into, key, json_incref(loose(value)));
    if (strcmp(key, "type") == 0) return merge_types(m, into, value);
    if (strcmp(key, "enum") == 0) return merge_values(m, into, value);
    if (strcmp(key, "items") == 0) return set(into, key, joint(one, value));
    if (strcmp(key, "additionalProperties") == 0 && json_is_true(value)) return QN_OK;
    if (strcmp(key, "additionalProperties") == 0 && (json_is_true(one) || json_is_false(value)))
        return set(into, key, json_incref(loose(value)));
    if (strcmp(key, "additionalProperties") == 0 && json_is_false(one)) return QN_OK;
    return fail_at(m, QN_UNSUPPORTED, key, "in several schemas that hold together is not done");
}

/* ---- whole schemas ---- */

static qn_status merge_into(qn_schema_merger *m, json_t *into, const json_t *from, int depth)
{
    const char *key;
    json_t *value;
    if (json_is_true(from)) return QN_OK;
    if (!json_is_object(from))
        return qn__fail(QN_BAD_DATA, "%s: a schema is an object of keywords, or true", m->origin);
    if (++m->merges > MOST_MERGES || depth > MOST_DEPTH)
        return fail_at(m, QN_UNSUPPORTED, "allOf", "leads to too many schemas, or back to itself");
    if (json_object_get(from, "properties") || is_closed(from) || is_closed(into))
        QN_TRY(merge_properties(into, from));
    json_object_foreach(loose(from), key, value)
    {
        const json_t *target;
        if (qn__schema_is_note(key)) continue;
        if (strcmp(key, "$ref") == 0) {
            if (!json_is_string(value)) return fail_at(m, QN_BAD_DATA, key, "is no text");
            QN_TRY(qn__schema_find(m, json_string_value(value), &target));
            QN_TRY(merge_into(m, into, target, depth + 1));
        } else if (strcmp(key, "allOf") == 0) {
            if (json_array_size(value) == 0)
                return fail_at(m, QN_BAD_DATA, key, "is not a list of schemas");
            for (size_t i = 0; i < json_array_size(value); i++)
                QN_TRY(merge_into(m, into, json_array_get(value, i), depth + 1));
        } else {
            QN_TRY(merge_key(m, into, key, value));
        }
    }
    return QN_OK;
}

/* anyOf beside other keywords: each choice holds together with them. */
static qn_status distribute(json_t *made, json_t **out)
{
    json_t *choices = json_incref(json_object_get(made, "anyOf")), *list = json_array();
    json_object_del(made, "anyOf");
    for (size_t i = 0; list && i < json_array_size(choices); i++)
        json_array_append_new(list, joint(made, json_array_get(choices, i)));
    json_decref(choices);
    *out = json_object();
    if (*out && list && json_object_set_new(*out, "anyOf", list) == 0) return QN_OK;
    json_decref(*out);
    return no_memory();
}

/* Values that are of no type that is asked for fall out. */
static qn_status drop_values(const qn_schema_merger *m, json_t *made)
{
    const json_t *values = json_object_get(made, "enum"), *type = json_object_get(made, "type");
    static const char *const names[] = {"object", "array",   "string",  "integer",
                                        "number", "boolean", "boolean", "null"};
    if (!values || !type) return QN_OK;
    json_t *left = json_array();
    for (size_t i = 0; left && i < json_array_size(values); i++) {
        const char *name = names[json_typeof(json_array_get(values, i))];
        size_t count = json_is_array(type) ? json_array_size(type) : 1;
        bool fits = false;
        for (size_t k = 0; k < count; k++) {
            const char *word =
                json_string_value(json_is_array(type) ? json_array_get(type, k) : type);
            fits |= word && (strcmp(word, name) == 0 ||
                             (strcmp(word, "number") == 0 && strcmp(name, "integer") == 0));
        }
        if (fits) json_array_append(left, json_array_get(values, i));
    }
    if (!left) return no_memory();
    if (json_array_size(left) == 0) {
        json_decref(left);
        return fail_at(m, QN_BAD_DATA, "enum", "has no value of a type that is asked for");
    }
    json_object_del(made, "type");
    return set(made, "enum", left);
}

qn_status qn__schema_merge(qn_schema_merger *m, const json_t *schema, const json_t **merged)
{
    json_t *made = json_object(), *out = NULL;
    *merged = NULL;
    if (!made) return no_memory();
    qn_status status = merge_into(m, made, schema, 0);
    if (status == QN_OK && json_object_get(made, "anyOf") && json_object_size(made) > 1)
        status = distribute(made, &out);
    if (status == QN_OK && !out) status = drop_values(m, made);
    if (status == QN_OK && json_array_append(m->made, out ? out : made) != 0) status = no_memory();
    if (status == QN_OK) *merged = out ? out : made; /* made keeps it alive */
    json_decref(out);
    json_decref(made);
    return status;
}
