/* JSON schema to GBNF: a rule for each schema. Schemas that are referred to wait in a list, so that
 * the depth of the recursion is that of the JSON text, which is limited. */
#include "base/check.h"
#include "base/json.h"
#include "base/str.h"
#include "infer/pattern.h"
#include "infer/schema.h"

#include <math.h>
#include <quernel/grammar.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RULES = 100000, MOST_REFS = 4096, MOST_BYTES = 8 << 20, MOST_DIGITS = 18 };

typedef struct waiting {
    const json_t *key;    /* the schema as the text has it */
    const json_t *schema; /* and as it is visited, where others hold together with it */
    uint32_t rule;
} waiting;

typedef struct converter {
    const char *origin, *place; /* the property in which we are */
    qn_schema_merger merger;
    qn_str out;
    uint32_t rules;
    waiting *refs;
    uint32_t ref_count, ref_room;
} converter;

static const char common[] =
    "object ::= \"{\" ( string \": \" value ( \", \" string \": \" value )* )? \"}\"\n"
    "array ::= \"[\" ( value ( \", \" value )* )? \"]\"\n"
    "value ::= object | array | string | number | boolean | null\n"
    "string ::= \"\\\"\" char* \"\\\"\"\n"
    "char ::= [^\"\\\\\\x00-\\x1F\\x7F] | \"\\\\\" ( [\"\\\\/bfnrt] | \"u\" escape )\n"
    "escape ::= [0-9a-cA-CefEF] hex hex hex | [dD] [0-7] hex hex | "
    "[dD] [89abAB] hex hex \"\\\\u\" [dD] [c-fC-F] hex hex\n"
    "hex ::= [0-9a-fA-F]\n"
    "integer ::= \"-\"? ( \"0\" | [1-9] [0-9]{0,15} )\n"
    "number ::= integer ( \".\" [0-9]{1,15} )? ( [eE] [-+]? [0-9]{1,2} )?\n"
    "boolean ::= \"true\" | \"false\"\n"
    "null ::= \"null\"\n"
    "date ::= ( [0-9]{3} [1-9] | [0-9]{2} [1-9] \"0\" ) \"-\" ( ( \"0\" [13578] | \"1\" [02] ) "
    "\"-\" ( \"0\" [1-9] | [12] [0-9] | \"3\" [01] ) | ( \"0\" [469] | \"11\" ) \"-\" "
    "( \"0\" [1-9] | [12] [0-9] | \"30\" ) | \"02-\" ( \"0\" [1-9] | \"1\" [0-9] | \"2\" [0-8] ) "
    ")\n"
    "time ::= ( [01] [0-9] | \"2\" [0-3] ) \":\" [0-5] [0-9] \":\" [0-5] [0-9] "
    "( \".\" [0-9]{1,6} )? ( \"Z\" | [-+] ( [01] [0-9] | \"2\" [0-3] ) \":\" [0-5] [0-9] )\n"
    "uuid ::= hex{8} \"-\" hex{4} \"-\" hex{4} \"-\" hex{4} \"-\" hex{12}\n";

static qn_status bad(const converter *c, qn_status status, const char *key, const char *what)
{
    return qn__fail(status, "%s: \"%s\"%s%s%s %s", c->origin, key, *c->place ? " of \"" : "",
                    c->place, *c->place ? "\"" : "", what);
}

/* ---- words of the grammar ---- */

/* JSON of a value as a literal. */
static qn_status add_literal(qn_str *out, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    if (!text) return qn__fail(QN_OS_ERROR, "out of memory");
    qn__str_add(out, "\"");
    for (const char *at = text; *at; at++) {
        if (*at == '"' || *at == '\\') qn__str_add(out, "\\");
        qn__str_add_bytes(out, at, 1);
    }
    qn__str_add(out, "\"");
    free(text);
    return QN_OK;
}

/* Digits between two numbers of as many digits. */
static void add_digits(qn_str *out, const char *low, const char *high)
{
    size_t rest = strlen(low);
    char ends[2][32] = {{0}};
    if (rest-- == 0) return;
    memset(ends[0], '0', rest);
    memset(ends[1], '9', rest);
    if (*low == *high) {
        qn__str_add(out, "\"%c\" ", *low);
        add_digits(out, low + 1, high + 1);
        return;
    }
    bool from = strcmp(low + 1, ends[0]) == 0, to = strcmp(high + 1, ends[1]) == 0;
    char first = (char)(*low + !from), last = (char)(*high - !to);
    const char *bar = "";
    qn__str_add(out, "( ");
    if (!from) {
        qn__str_add(out, "\"%c\" ", *low);
        add_digits(out, low + 1, ends[1]);
        bar = "| ";
    }
    if (first <= last) {
        qn__str_add(out, "%s[%c-%c] ", bar, first, last);
        if (rest) qn__str_add(out, "[0-9]{%zu} ", rest);
        bar = "| ";
    }
    if (!to) {
        qn__str_add(out, "%s\"%c\" ", bar, *high);
        add_digits(out, ends[0], high + 1);
    }
    qn__str_add(out, ") ");
}

/* From low to high, neither negative. */
static void add_naturals(qn_str *out, int64_t low, int64_t high)
{
    for (int64_t begin = low; begin <= high;) {
        char text[2][32];
        int64_t end = 9;
        while (end < begin) end = end * 10 + 9;
        if (end > high) end = high;
        snprintf(text[0], sizeof text[0], "%lld", (long long)begin);
        snprintf(text[1], sizeof text[1], "%lld", (long long)end);
        qn__str_add(out, "%s", begin > low ? "| " : "");
        add_digits(out, text[0], text[1]);
        begin = end + 1;
    }
}

static void add_integers(qn_str *out, int64_t low, int64_t high)
{
    if (low < 0) {
        qn__str_add(out, "\"-\" ( ");
        add_naturals(out, high < 0 ? -high : 1, -low);
        qn__str_add(out, ") %s", high >= 0 ? "| " : "");
    }
    if (high >= 0) add_naturals(out, low < 0 ? 0 : low, high);
}

/* ---- schemas ---- */

static qn_status visit(converter *c, const json_t *schema, uint32_t rule);

static qn_status new_rule(converter *c, uint32_t *rule)
{
    if (c->rules >= MOST_RULES || c->out.length > MOST_BYTES)
        return qn__fail(QN_BAD_DATA, "%s: the schema is too large", c->origin);
    *rule = c->rules++;
    return QN_OK;
}

static qn_status child(converter *c, const json_t *schema, uint32_t *rule)
{
    QN_TRY(new_rule(c, rule));
    return visit(c, schema, *rule);
}

/* Rules are lines; one that is being put together lies in a text of its own. */
static qn_status finish(converter *c, uint32_t rule, qn_str *body, qn_status status)
{
    if (status == QN_OK) qn__str_add(&c->out, "r%u ::= %s\n", rule, qn__str_text(body));
    if (status == QN_OK && body->failed) status = qn__fail(QN_OS_ERROR, "out of memory");
    qn__str_free(body);
    return status;
}

/* A rule for a schema that is visited later: its target, or what holds together in it, may lead
 * back to where we are. Each has one rule. */
static qn_status visit_later(converter *c, const json_t *key, bool is_joint, qn_str *body)
{
    waiting next = {.key = key, .schema = key};
    for (uint32_t i = 0; i < c->ref_count; i++)
        if (c->refs[i].key == key) {
            qn__str_add(body, "r%u", c->refs[i].rule);
            return QN_OK;
        }
    if (is_joint) QN_TRY(qn__schema_merge(&c->merger, key, &next.schema));
    if (c->ref_count >= MOST_REFS)
        return bad(c, QN_UNSUPPORTED, "$ref", "leads to too many places");
    if (c->ref_count == c->ref_room) {
        uint32_t room = c->ref_room ? c->ref_room * 2 : 16;
        waiting *refs = realloc(c->refs, room * sizeof *refs);
        if (!refs) return qn__fail(QN_OS_ERROR, "out of memory");
        c->refs = refs;
        c->ref_room = room;
    }
    QN_TRY(new_rule(c, &next.rule));
    c->refs[c->ref_count++] = next;
    qn__str_add(body, "r%u", next.rule);
    return QN_OK;
}

static qn_status visit_ref(converter *c, const char *name, qn_str *body)
{
    const json_t *schema;
    QN_TRY(qn__schema_find(&c->merger, name, &schema));
    return visit_later(c, schema, qn__schema_is_joint(schema), body);
}

static qn_status visit_any(converter *c, const char *key, const json_t *list, qn_str *body)
{
    size_t count = json_array_size(list);
    if (count == 0) return bad(c, QN_BAD_DATA, key, "is not a list of schemas");
    for (size_t i = 0; i < count; i++) {
        uint32_t rule = 0;
        QN_TRY(child(c, json_array_get(list, i), &rule));
        qn__str_add(body, "%sr%u", i ? " | " : "", rule);
    }
    return QN_OK;
}

static bool is_of_type(const json_t *value, const char *type)
{
    if (strcmp(type, "integer") == 0) return json_is_integer(value);
    if (strcmp(type, "number") == 0) return json_is_number(value);
    if (strcmp(type, "string") == 0) return json_is_string(value);
    if (strcmp(type, "boolean") == 0) return json_is_boolean(value);
    if (strcmp(type, "null") == 0) return json_is_null(value);
    return strcmp(type, "array") == 0 ? json_is_array(value) : json_is_object(value);
}

static qn_status visit_values(converter *c, const json_t *schema, qn_str *body)
{
    const json_t *one = json_object_get(schema, "const"), *list = json_object_get(schema, "enum");
    const char *type = json_string_value(json_object_get(schema, "type"));
    size_t count = one ? 1 : json_array_size(list);
    if (one && list) return bad(c, QN_UNSUPPORTED, "const", "beside enum is not done");
    if (count == 0) return bad(c, QN_BAD_DATA, "enum", "is not a list of values");
    if (!type && json_object_get(schema, "type"))
        return bad(c, QN_UNSUPPORTED, "type", "as a list beside enum or const is not done");
    for (size_t i = 0; i < count; i++) {
        const json_t *value = one ? one : json_array_get(list, i);
        if (type && !is_of_type(value, type))
            return bad(c, QN_BAD_DATA, "type", "is not that of all values");
        if (i) qn__str_add(body, " | ");
        QN_TRY(add_literal(body, value));
    }
    return QN_OK;
}

static qn_status read_count(const converter *c, const json_t *schema, const char *key,
                            int64_t *value)
{
    const json_t *number = json_object_get(schema, key);
    if (!number) return QN_OK;
    if (!json_is_integer(number) || json_integer_value(number) < 0 ||
        json_integer_value(number) > 1 << 20)
        return bad(c, QN_BAD_DATA, key, "is not a whole number from 0 to 1048576");
    *value = json_integer_value(number);
    return QN_OK;
}

/* name := {"name": value}, optional ones may be left out. Two rules for each: nothing was written
 * before it (a), or something was (b), which takes a comma. */
static qn_status visit_properties(converter *c, const json_t *schema, const json_t *properties,
                                  qn_str *body)
{
    const json_t *required = json_object_get(schema, "required");
    const char *key, *place = c->place;
    json_t *value;
    uint32_t first = c->rules, at = 0, count = (uint32_t)json_object_size(properties);
    if (count > MOST_RULES / 4 || c->rules + 2 * count + 2 > MOST_RULES)
        return qn__fail(QN_BAD_DATA, "%s: the schema is too large", c->origin);
    c->rules += 2 * count + 2;
    json_object_foreach((json_t *)(uintptr_t)properties, key, value)
    {
        bool must = false;
        uint32_t rule = 0, a = first + 2 * at++;
        qn_str name = {0};
        json_t *text = json_string(key);
        for (size_t i = 0; i < json_array_size(required); i++) {
            const char *word = json_string_value(json_array_get(required, i));
            must |= word && strcmp(word, key) == 0;
        }
        c->place = key;
        qn_status status = text ? add_literal(&name, text) : qn__fail(QN_OS_ERROR, "out of memory");
        if (status == QN_OK) status = child(c, value, &rule);
        if (status == QN_OK) {
            const char *word = qn__str_text(&name);
            qn__str_add(&c->out, "r%u ::= %s \": \" r%u r%u", a, word, rule, a + 3);
            if (!must) qn__str_add(&c->out, " | r%u", a + 2);
            qn__str_add(&c->out, "\nr%u ::= \", \" %s \": \" r%u r%u", a + 1, word, rule, a + 3);
            if (!must) qn__str_add(&c->out, " | r%u", a + 3);
            qn__str_add(&c->out, "\n");
        }
        json_decref(text);
        qn__str_free(&name);
        c->place = place;
        QN_TRY(status);
    }
    qn__str_add(&c->out, "r%u ::= \"\"\nr%u ::= \"\"\n", first + 2 * at, first + 2 * at + 1);
    qn__str_add(body, "\"{\" r%u \"}\"", first);
    return QN_OK;
}

static qn_status visit_object(converter *c, const json_t *schema, qn_str *body)
{
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *required = json_object_get(schema, "required");
    const json_t *more = json_object_get(schema, "additionalProperties");
    uint32_t rule;
    if (properties && !json_is_object(properties))
        return bad(c, QN_BAD_DATA, "properties", "is not an object");
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *word = json_string_value(json_array_get(required, i));
        if (!word || !json_object_get(properties, word))
            return bad(c, QN_UNSUPPORTED, "required", "names what is not in properties");
    }
    if (json_object_size(properties) > 0 || json_is_false(more))
        return visit_properties(c, schema, properties, body);
    if (!json_is_object(more)) {
        qn__str_add(body, "object");
        return QN_OK;
    }
    QN_TRY(child(c, more, &rule));
    qn__str_add(body, "\"{\" ( string \": \" r%u ( \", \" string \": \" r%u )* )? \"}\"", rule,
                rule);
    return QN_OK;
}

static qn_status visit_array(converter *c, const json_t *schema, qn_str *body)
{
    const json_t *items = json_object_get(schema, "items");
    int64_t low = 0, high = -1;
    char name[32] = "value";
    QN_TRY(read_count(c, schema, "minItems", &low));
    QN_TRY(read_count(c, schema, "maxItems", &high));
    if (high >= 0 && high < low) return bad(c, QN_BAD_DATA, "maxItems", "is below minItems");
    if (items) {
        uint32_t rule;
        QN_TRY(child(c, items, &rule));
        snprintf(name, sizeof name, "r%u", rule);
    }
    if (high == 0) {
        qn__str_add(body, "\"[]\"");
        return QN_OK;
    }
    qn__str_add(body, "\"[\" ( %s ( \", \" %s ){%lld,", name, name, (long long)(low ? low - 1 : 0));
    if (high > 0) qn__str_add(body, "%lld", (long long)(high - 1));
    qn__str_add(body, "} )%s \"]\"", low ? "" : "?");
    return QN_OK;
}

static qn_status visit_pattern(const converter *c, const char *pattern, qn_str *body)
{
    if (!pattern) return bad(c, QN_BAD_DATA, "pattern", "is no text");
    qn_status status = qn__pattern_add(body, pattern);
    return status == QN_OK ? QN_OK
                           : qn__wrap(status, "%s: \"pattern\" %.200s: ", c->origin, pattern);
}

static qn_status visit_string(converter *c, const json_t *schema, qn_str *body)
{
    static const char *const formats[] = {"date", "time", "uuid"};
    const char *format = json_string_value(json_object_get(schema, "format"));
    int64_t low = 0, high = -1;
    QN_TRY(read_count(c, schema, "minLength", &low));
    QN_TRY(read_count(c, schema, "maxLength", &high));
    if (high >= 0 && high < low) return bad(c, QN_BAD_DATA, "maxLength", "is below minLength");
    bool sized = low > 0 || high >= 0;
    const json_t *pattern = json_object_get(schema, "pattern");
    if (pattern && (sized || format))
        return bad(c, QN_UNSUPPORTED, "pattern", "beside a length or a format is not done");
    if (pattern) return visit_pattern(c, json_string_value(pattern), body);
    if (format && sized) return bad(c, QN_UNSUPPORTED, "format", "beside a length is not done");
    for (size_t i = 0; format && i < 3; i++)
        if (strcmp(format, formats[i]) == 0) {
            qn__str_add(body, "\"\\\"\" %s \"\\\"\"", format);
            return QN_OK;
        }
    if (format && strcmp(format, "date-time") == 0) {
        qn__str_add(body, "\"\\\"\" date \"T\" time \"\\\"\"");
        return QN_OK;
    }
    if (format) return bad(c, QN_UNSUPPORTED, format, "is not done as a format");
    if (!sized) qn__str_add(body, "string");
    else if (high < 0) qn__str_add(body, "\"\\\"\" char{%lld,} \"\\\"\"", (long long)low);
    else qn__str_add(body, "\"\\\"\" char{%lld,%lld} \"\\\"\"", (long long)low, (long long)high);
    return QN_OK;
}

/* The larger of several lower bounds, the smaller of upper ones. */
static qn_status read_bound(const converter *c, const json_t *schema, const char *key, bool lower,
                            int excluded, int64_t *value, bool *given)
{
    const json_t *number = json_object_get(schema, key);
    if (!number) return QN_OK;
    double real = json_number_value(number);
    if (!json_is_number(number) || fabs(real) > 1e17 || real != (double)(int64_t)real)
        return bad(c, QN_UNSUPPORTED, key, "is done for whole numbers up to 1e17 only");
    int64_t bound = json_is_integer(number) ? json_integer_value(number) : (int64_t)real;
    bound += excluded;
    if (!*given || (lower ? bound > *value : bound < *value)) *value = bound;
    *given = true;
    return QN_OK;
}

/* Numbers with a fraction that is not zero, each between two whole ones: none is out of bounds that
 * a whole number beside it is not. */
static void add_fractions(qn_str *out, int64_t low, int64_t high)
{
    int64_t least = low > 0 ? low : 0, nearest = high < 0 ? -high : 0;
    if (high - 1 >= least) {
        qn__str_add(out, "| ( ");
        add_naturals(out, least, high - 1);
        qn__str_add(out, ") \".\" [0-9]{0,14} [1-9] ");
    }
    if (-low - 1 >= nearest) {
        qn__str_add(out, "| \"-\" ( ");
        add_naturals(out, nearest, -low - 1);
        qn__str_add(out, ") \".\" [0-9]{0,14} [1-9] ");
    }
}

static qn_status visit_number(converter *c, const json_t *schema, bool whole, qn_str *body)
{
    static const char *const keys[] = {"minimum", "exclusiveMinimum", "maximum",
                                       "exclusiveMaximum"};
    enum { ENDS = 2 };
    const int64_t far = 999999999999999999;
    int64_t whole_ends[ENDS] = {-far, far}, ends[ENDS] = {-far, far};
    bool given[ENDS] = {false, false}, again[ENDS] = {false, false};
    for (int i = 0; i < 4; i++) {
        int excluded = i == 1 ? 1 : i == 3 ? -1 : 0;
        QN_TRY(read_bound(c, schema, keys[i], i < 2, excluded, &whole_ends[i / 2], &given[i / 2]));
        QN_TRY(read_bound(c, schema, keys[i], i < 2, 0, &ends[i / 2], &again[i / 2]));
    }
    bool some_whole = whole_ends[0] <= whole_ends[1];
    if (ends[0] > ends[1] || (!some_whole && (whole || ends[0] == ends[1])))
        return bad(c, QN_BAD_DATA, "maximum", "is below minimum");
    if (!given[0] && !given[1]) {
        qn__str_add(body, whole ? "integer" : "number");
        return QN_OK;
    }
    qn_str fractions = {0};
    if (some_whole) add_integers(body, whole_ends[0], whole_ends[1]);
    if (!whole) add_fractions(&fractions, ends[0], ends[1]);
    qn__str_add(body, "%s", qn__str_text(&fractions) + (some_whole || !fractions.length ? 0 : 2));
    body->failed |= fractions.failed;
    qn__str_free(&fractions);
    return QN_OK;
}

static qn_status visit_type(converter *c, const json_t *schema, const char *type, qn_str *body)
{
    if (strcmp(type, "object") == 0) return visit_object(c, schema, body);
    if (strcmp(type, "array") == 0) return visit_array(c, schema, body);
    if (strcmp(type, "string") == 0) return visit_string(c, schema, body);
    if (strcmp(type, "integer") == 0) return visit_number(c, schema, true, body);
    if (strcmp(type, "number") == 0) return visit_number(c, schema, false, body);
    if (strcmp(type, "boolean") != 0 && strcmp(type, "null") != 0)
        return bad(c, QN_BAD_DATA, type, "is no type of JSON");
    qn__str_add(body, "%s", type);
    return QN_OK;
}

static qn_status visit_types(converter *c, const json_t *schema, qn_str *body)
{
    const json_t *type = json_object_get(schema, "type");
    if (json_is_string(type)) return visit_type(c, schema, json_string_value(type), body);
    if (!type && json_object_get(schema, "properties"))
        return visit_type(c, schema, "object", body);
    if (!type && json_object_get(schema, "items")) return visit_type(c, schema, "array", body);
    if (type && json_array_size(type) == 0)
        return bad(c, QN_BAD_DATA, "type", "is neither a name nor a list of names");
    for (size_t i = 0; i < json_array_size(type); i++) {
        const char *name = json_string_value(json_array_get(type, i));
        if (!name) return bad(c, QN_BAD_DATA, "type", "is neither a name nor a list of names");
        qn__str_add(body, i ? " | ( " : "( ");
        QN_TRY(visit_type(c, schema, name, body));
        qn__str_add(body, " )");
    }
    if (!type) qn__str_add(body, "value");
    return QN_OK;
}

/* ---- keywords ---- */

static bool is_in(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(word, *list) == 0) return true;
    return false;
}

/* Beside notes: those done together with type; and those alone. */
static qn_status check_keys(const converter *c, const json_t *schema)
{
    static const char *const typed[] = {"type",
                                        "properties",
                                        "required",
                                        "additionalProperties",
                                        "items",
                                        "minItems",
                                        "maxItems",
                                        "minLength",
                                        "maxLength",
                                        "minimum",
                                        "maximum",
                                        "exclusiveMinimum",
                                        "exclusiveMaximum",
                                        "format",
                                        "pattern",
                                        NULL};
    static const char *const alone[] = {"$ref", "anyOf", "oneOf", "enum", "const", NULL};
    const char *key, *single = NULL;
    json_t *value;
    for (int i = 0; alone[i]; i++)
        if (!single && json_object_get(schema, alone[i])) single = alone[i];
    json_object_foreach((json_t *)(uintptr_t)schema, key, value)
    {
        bool with_type = single && strcmp(key, "type") == 0 && (*single == 'e' || *single == 'c');
        if (qn__schema_is_note(key) || with_type || (single && strcmp(key, single) == 0)) continue;
        if (!is_in(key, typed) && !is_in(key, alone))
            return bad(c, QN_UNSUPPORTED, key, "is a keyword that is not done");
        if (single)
            return bad(c, QN_UNSUPPORTED, key,
                       "beside $ref, anyOf, oneOf, enum or const "
                       "is not done");
    }
    return QN_OK;
}

static qn_status visit_keys(converter *c, const json_t *schema, qn_str *body)
{
    const json_t *ref = json_object_get(schema, "$ref");
    if (json_is_true(schema)) {
        qn__str_add(body, "value");
        return QN_OK;
    }
    if (!json_is_object(schema))
        return qn__fail(QN_BAD_DATA, "%s: a schema is an object of keywords, or true", c->origin);
    if (qn__schema_is_joint(schema)) return visit_later(c, schema, true, body);
    QN_TRY(check_keys(c, schema));
    if (ref && !json_is_string(ref)) return bad(c, QN_BAD_DATA, "$ref", "is no text");
    if (ref) return visit_ref(c, json_string_value(ref), body);
    if (json_object_get(schema, "anyOf"))
        return visit_any(c, "anyOf", json_object_get(schema, "anyOf"), body);
    if (json_object_get(schema, "oneOf"))
        return visit_any(c, "oneOf", json_object_get(schema, "oneOf"), body);
    if (json_object_get(schema, "enum") || json_object_get(schema, "const"))
        return visit_values(c, schema, body);
    return visit_types(c, schema, body);
}

static qn_status visit(converter *c, const json_t *schema, uint32_t rule)
{
    qn_str body = {0};
    qn_status status = visit_keys(c, schema, &body);
    return finish(c, rule, &body, status);
}

qn_status qn_schema_to_grammar(const char *schema, size_t bytes, const char *origin, char **text)
{
    json_t *root;
    *text = NULL;
    QN_TRY(qn__json_parse(schema, bytes, origin, &root));
    converter c = {.origin = origin, .place = "", .merger = {.root = root, .origin = origin}};
    c.merger.made = json_array();
    uint32_t rule;
    qn__str_add(&c.out, "root ::= r0\n");
    qn_status status =
        c.merger.made ? child(&c, root, &rule) : qn__fail(QN_OS_ERROR, "out of memory");
    for (uint32_t i = 0; status == QN_OK && i < c.ref_count; i++)
        status = visit(&c, c.refs[i].schema, c.refs[i].rule);
    qn__str_add(&c.out, "%s", common);
    if (status == QN_OK && c.out.failed) status = qn__fail(QN_OS_ERROR, "out of memory");
    if (status == QN_OK) *text = strdup(qn__str_text(&c.out));
    if (status == QN_OK && !*text) status = qn__fail(QN_OS_ERROR, "out of memory");
    qn__str_free(&c.out);
    free(c.refs);
    json_decref(c.merger.made);
    json_decref(root);
    return status;
}
