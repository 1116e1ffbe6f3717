/* Parsing GBNF: recursive descent to a fixed depth, code for a rule when its end is reached. */
#include "base/check.h"
#include "base/hash.h"
#include "infer/grammar.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

typedef struct parser {
    qn_grammar *g;
    const uint8_t *text;
    uint32_t bytes, pos;
    uint32_t error_at;
    int depth;
} parser;

/* Elements of the alternatives of one rule, each alternative ended by RETURN. */
typedef struct items {
    qn_code *code;
    uint32_t count, room;
} items;

static qn_status bad(parser *p, uint32_t at, const char *what)
{
    p->error_at = at;
    return qn__fail(QN_BAD_DATA, "%s", what);
}

static int peek(const parser *p)
{
    return p->pos < p->bytes ? p->text[p->pos] : -1;
}

static bool is_name(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static void skip_space(parser *p, bool lines)
{
    for (;;) {
        int c = peek(p);
        if (c == '#')
            while (p->pos < p->bytes && p->text[p->pos] != '\n') p->pos++;
        else if (c == ' ' || c == '\t' || (lines && (c == '\n' || c == '\r'))) p->pos++;
        else return;
    }
}

/* ---- rules ---- */

static qn_status add_rule(parser *p, char *name, uint32_t *rule)
{
    qn_grammar *g = p->g;
    QN_TRY(qn__grammar_room(&g->rules, g->rule_count, &g->rule_room, sizeof *g->rules));
    *rule = g->rule_count++;
    g->rules[*rule] = (qn_rule){.name = name, .at = p->pos};
    return QN_OK;
}

static uint32_t slot_of(const qn_grammar *g, const char *name, size_t length)
{
    uint32_t slot = (uint32_t)qn__hash(name, length) & (g->name_room - 1);
    while (g->names[slot]) {
        const char *other = g->rules[g->names[slot] - 1].name;
        if (strlen(other) == length && memcmp(other, name, length) == 0) break;
        slot = (slot + 1) & (g->name_room - 1);
    }
    return slot;
}

static qn_status grow_names(qn_grammar *g)
{
    uint32_t room = g->name_room ? g->name_room * 2 : 64;
    uint32_t *names = calloc(room, sizeof *names);
    if (!names) return qn__fail(QN_OS_ERROR, "out of memory");
    free(g->names);
    g->names = names;
    g->name_room = room;
    for (uint32_t i = 0; i < g->rule_count; i++)
        if (g->rules[i].name) names[slot_of(g, g->rules[i].name, strlen(g->rules[i].name))] = i + 1;
    return QN_OK;
}

static qn_status parse_name(parser *p, uint32_t *rule)
{
    qn_grammar *g = p->g;
    uint32_t begin = p->pos;
    while (is_name(peek(p))) p->pos++;
    uint32_t length = p->pos - begin;
    const char *text = (const char *)p->text + begin;
    if (length == 0) return bad(p, begin, "the name of a rule is expected here");
    if (g->name_count * 2 >= g->name_room) QN_TRY(grow_names(g));
    uint32_t slot = slot_of(g, text, length);
    if (g->names[slot]) {
        *rule = g->names[slot] - 1;
        return QN_OK;
    }
    char *name = strndup(text, length);
    if (!name) return qn__fail(QN_OS_ERROR, "out of memory");
    qn_status status = add_rule(p, name, rule);
    if (status != QN_OK) free(name);
    if (status != QN_OK) return status;
    g->rules[*rule].at = begin;
    g->names[slot] = *rule + 1;
    g->name_count++;
    return QN_OK;
}

/* Code of alternatives: FORK to the next before each but the last. */
static qn_status emit(parser *p, uint32_t rule, const qn_code *code, uint32_t count)
{
    qn_grammar *g = p->g;
    g->rules[rule].pc = g->code_count;
    g->rules[rule].defined = true;
    for (uint32_t i = 0; i < count;) {
        uint32_t end = i, fork = g->code_count;
        while (code[end].kind != QN_CODE_RETURN) end++;
        for (uint32_t k = i; k <= end + (end + 1 < count); k++) {
            QN_TRY(qn__grammar_room(&g->code, g->code_count, &g->code_room, sizeof *g->code));
            bool first = k == i && end + 1 < count;
            g->code[g->code_count++] =
                first ? (qn_code){.kind = QN_CODE_FORK} : code[end + 1 < count ? k - 1 : k];
        }
        g->code[g->code_count - 1].a = rule;
        if (end + 1 < count) g->code[fork].a = g->code_count;
        i = end + 1;
    }
    g->code[g->code_count - 1].low = 1; /* the last alternative */
    return QN_OK;
}

/* ---- characters ---- */

static qn_status parse_hex(parser *p, int digits, uint32_t *code)
{
    uint32_t begin = p->pos - 2;
    *code = 0;
    for (int i = 0; i < digits; i++, p->pos++) {
        int c = peek(p), value = c >= '0' && c <= '9'   ? c - '0'
                                 : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                 : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                        : -1;
        if (value < 0) return bad(p, begin, "\\x takes 2, \\u 4 and \\U 8 hexadecimal digits");
        *code = *code << 4 | (uint32_t)value;
    }
    if (*code > 0x10FFFF || (*code >= 0xD800 && *code < 0xE000))
        return bad(p, begin, "this is not a Unicode character");
    return QN_OK;
}

static qn_status parse_char(parser *p, uint32_t *code)
{
    if (peek(p) != '\\') {
        size_t length = qn__utf8_decode(p->text + p->pos, p->bytes - p->pos, code);
        if (length == 0) return bad(p, p->pos, "the text is not valid UTF-8");
        p->pos += (uint32_t)length;
        return QN_OK;
    }
    uint32_t begin = p->pos++;
    int c = peek(p);
    p->pos++;
    switch (c) {
    case 'x': return parse_hex(p, 2, code);
    case 'u': return parse_hex(p, 4, code);
    case 'U': return parse_hex(p, 8, code);
    case 'n': *code = '\n'; return QN_OK;
    case 'r': *code = '\r'; return QN_OK;
    case 't': *code = '\t'; return QN_OK;
    default:
        if (c < 0 || !strchr("\\\"[]-^/.'", c) || c == 0)
            return bad(p, begin, "there is no such escape; \\\\ is a backslash");
        *code = (uint32_t)c;
        return QN_OK;
    }
}

static qn_status add_item(items *list, qn_code code)
{
    QN_TRY(qn__grammar_room(&list->code, list->count, &list->room, sizeof *list->code));
    list->code[list->count++] = code;
    return QN_OK;
}

static qn_status parse_literal(parser *p, items *list)
{
    uint32_t begin = p->pos++;
    while (peek(p) != '"') {
        uint32_t code, node;
        char utf8[4];
        if (peek(p) < 0 || peek(p) == '\n')
            return bad(p, begin, "this text has no closing quote on its line");
        QN_TRY(parse_char(p, &code));
        size_t length = qn__utf8_encode(code, utf8);
        for (size_t i = 0; i < length; i++) {
            QN_TRY(qn__class_add_byte(p->g, (uint8_t)utf8[i], &node));
            QN_TRY(add_item(list, (qn_code){QN_CODE_CLASS, .a = node, .at = begin}));
        }
    }
    p->pos++;
    return QN_OK;
}

static qn_status parse_ranges(parser *p, uint32_t begin, qn_range32 **ranges, uint32_t *count,
                              uint32_t *room)
{
    while (peek(p) != ']') {
        qn_range32 range;
        if (peek(p) < 0 || peek(p) == '\n')
            return bad(p, begin, "this class has no closing ] on its line");
        QN_TRY(parse_char(p, &range.low));
        range.high = range.low;
        if (peek(p) == '-' && p->pos + 1 < p->bytes && p->text[p->pos + 1] != ']') {
            uint32_t at = p->pos++;
            QN_TRY(parse_char(p, &range.high));
            if (range.high < range.low) return bad(p, at, "this range ends before it begins");
        }
        QN_TRY(qn__grammar_room(ranges, *count, room, sizeof **ranges));
        (*ranges)[(*count)++] = range;
    }
    p->pos++;
    return QN_OK;
}

static qn_status parse_class(parser *p, items *list)
{
    uint32_t begin = p->pos++, count = 0, room = 0, node = 0;
    qn_range32 *ranges = NULL;
    bool negated = peek(p) == '^';
    p->pos += negated;
    qn_status status = parse_ranges(p, begin, &ranges, &count, &room);
    if (status == QN_OK && count == 0 && !negated)
        status = bad(p, begin, "this class has no character");
    if (status == QN_OK) status = qn__class_add(p->g, ranges, count, negated, &node);
    free(ranges);
    if (status != QN_OK) return status;
    if (p->g->nodes[node].count == 0) return bad(p, begin, "this class has no character");
    return add_item(list, (qn_code){QN_CODE_CLASS, .a = node, .at = begin});
}

/* ---- repetition ---- */

static qn_status parse_number(parser *p, uint32_t *number)
{
    uint32_t begin = p->pos;
    *number = 0;
    while (peek(p) >= '0' && peek(p) <= '9') {
        *number = *number * 10 + (uint32_t)(peek(p) - '0');
        if (*number > QN_REPEAT_MOST) return bad(p, begin, "a repetition is at most 1048576 times");
        p->pos++;
    }
    return p->pos > begin ? QN_OK : bad(p, begin, "a number is expected: {n}, {m,} or {m,n}");
}

static qn_status parse_braces(parser *p, uint32_t *low, uint32_t *high)
{
    uint32_t begin = p->pos++;
    skip_space(p, false);
    QN_TRY(parse_number(p, low));
    skip_space(p, false);
    *high = *low;
    if (peek(p) == ',') {
        p->pos++;
        skip_space(p, false);
        *high = QN_REPEAT_ENDLESS;
        if (peek(p) != '}') QN_TRY(parse_number(p, high));
        skip_space(p, false);
    }
    if (peek(p) != '}') return bad(p, begin, "this repetition has no closing }");
    if (*high < *low) return bad(p, begin, "this repetition's most is below its least");
    p->pos++;
    return QN_OK;
}

/* Items from `first` on become one, repeated. */
static qn_status repeat(parser *p, items *list, uint32_t first, uint32_t low, uint32_t high)
{
    uint32_t rule, at = p->pos;
    if (list->count == first + 1 && list->code[first].kind == QN_CODE_CALL) {
        rule = list->code[first].a;
    } else {
        QN_TRY(add_rule(p, NULL, &rule));
        QN_TRY(add_item(list, (qn_code){.kind = QN_CODE_RETURN}));
        QN_TRY(emit(p, rule, list->code + first, list->count - first));
    }
    list->count = first;
    return add_item(list, (qn_code){QN_CODE_REPEAT, rule, low, high, at});
}

static qn_status parse_postfix(parser *p, items *list, uint32_t first)
{
    for (;;) {
        uint32_t low = 0, high = QN_REPEAT_ENDLESS;
        int c = peek(p);
        if (c != '*' && c != '+' && c != '?' && c != '{') return QN_OK;
        if (c == '{') QN_TRY(parse_braces(p, &low, &high));
        else p->pos++;
        if (c == '+') low = 1;
        if (c == '?') high = 1;
        QN_TRY(repeat(p, list, first, low, high));
    }
}

/* ---- alternatives ---- */

static qn_status parse_alternatives(parser *p, uint32_t rule, bool nested);

static qn_status parse_group(parser *p, items *list)
{
    uint32_t begin = p->pos++, rule;
    if (++p->depth > QN_GRAMMAR_DEPTH)
        return bad(p, begin, "more than 256 parentheses are open here");
    QN_TRY(add_rule(p, NULL, &rule));
    skip_space(p, true);
    QN_TRY(parse_alternatives(p, rule, true));
    if (peek(p) != ')') return bad(p, begin, "this parenthesis is not closed");
    p->pos++;
    p->depth--;
    return add_item(list, (qn_code){QN_CODE_CALL, .a = rule, .at = begin});
}

static qn_status parse_element(parser *p, items *list)
{
    uint32_t first = list->count, rule, node, begin = p->pos;
    int c = peek(p);
    if (c == '"') QN_TRY(parse_literal(p, list));
    else if (c == '[') QN_TRY(parse_class(p, list));
    else if (c == '(') QN_TRY(parse_group(p, list));
    else if (c == '.') {
        p->pos++;
        QN_TRY(qn__class_add(p->g, NULL, 0, true, &node));
        QN_TRY(add_item(list, (qn_code){QN_CODE_CLASS, .a = node, .at = begin}));
    } else {
        QN_TRY(parse_name(p, &rule));
        QN_TRY(add_item(list, (qn_code){QN_CODE_CALL, .a = rule, .at = begin}));
    }
    return parse_postfix(p, list, first);
}

/* A line may begin with |, to go on with the alternatives. */
static void skip_to_bar(parser *p)
{
    uint32_t begin = p->pos;
    skip_space(p, true);
    if (peek(p) != '|') p->pos = begin;
}

static qn_status parse_items(parser *p, items *list, bool nested)
{
    for (;;) {
        int c = peek(p);
        if (c == '"' || c == '[' || c == '(' || c == '.' || is_name(c)) {
            QN_TRY(parse_element(p, list));
            skip_space(p, nested);
            continue;
        }
        QN_TRY(add_item(list, (qn_code){.kind = QN_CODE_RETURN}));
        if (!nested) skip_to_bar(p);
        if (peek(p) != '|') return QN_OK;
        p->pos++;
        skip_space(p, true);
    }
}

static qn_status parse_alternatives(parser *p, uint32_t rule, bool nested)
{
    items list = {0};
    qn_status status = parse_items(p, &list, nested);
    if (status == QN_OK) status = emit(p, rule, list.code, list.count);
    free(list.code);
    return status;
}

static qn_status parse_rule(parser *p)
{
    uint32_t begin = p->pos, rule;
    QN_TRY(parse_name(p, &rule));
    skip_space(p, false);
    if (p->bytes - p->pos < 3 || memcmp(p->text + p->pos, "::=", 3) != 0)
        return bad(p, p->pos, "::= is expected here, after the name of a rule");
    if (p->g->rules[rule].defined) return bad(p, begin, "this rule was defined before");
    p->pos += 3;
    skip_space(p, true);
    p->g->rules[rule].at = begin;
    QN_TRY(parse_alternatives(p, rule, false));
    int c = peek(p);
    if (c >= 0 && c != '\n' && c != '\r')
        return bad(p, p->pos,
                   strchr("*+?{", c) ? "there is nothing before this to repeat"
                                     : "this is no element of a rule");
    skip_space(p, true);
    return QN_OK;
}

static qn_status parse_all(parser *p)
{
    skip_space(p, true);
    while (p->pos < p->bytes) QN_TRY(parse_rule(p));
    if (p->g->name_room == 0) return bad(p, 0, "there is no rule; root ::= ... is needed");
    uint32_t slot = slot_of(p->g, "root", 4);
    if (!p->g->names[slot]) return bad(p, 0, "there is no rule \"root\", with which a text begins");
    p->g->root = p->g->names[slot] - 1;
    return qn__grammar_check(p->g, &p->error_at);
}

qn_status qn_grammar_create(const char *text, size_t bytes, const char *origin,
                            qn_grammar **grammar)
{
    *grammar = NULL;
    QN_CHECK(bytes <= QN_GRAMMAR_BYTES, "%s: a grammar of %zu bytes; at most %d are read", origin,
             bytes, QN_GRAMMAR_BYTES);
    qn_grammar *g = calloc(1, sizeof *g);
    if (!g) return qn__fail(QN_OS_ERROR, "out of memory");
    parser p = {.g = g, .text = (const uint8_t *)text, .bytes = (uint32_t)bytes};
    qn_status status = parse_all(&p);
    if (status == QN_OK) {
        *grammar = g;
        return QN_OK;
    }
    uint32_t line = 1, column = 1;
    for (uint32_t i = 0; i < p.error_at && i < bytes; i++) {
        column = text[i] == '\n' ? 1 : column + ((uint8_t)text[i] >> 6 != 2);
        line += text[i] == '\n';
    }
    qn_grammar_destroy(&g);
    if (status != QN_BAD_DATA) return status;
    return qn__wrap(status, "%s, line %u, column %u: ", origin, line, column);
}

void qn_grammar_destroy(qn_grammar **grammar)
{
    qn_grammar *g = *grammar;
    if (!g) return;
    for (uint32_t i = 0; i < g->rule_count; i++) free(g->rules[i].name);
    free(g->code);
    free(g->rules);
    free(g->names);
    free(g->nodes);
    free(g->arcs);
    free(g);
    *grammar = NULL;
}
