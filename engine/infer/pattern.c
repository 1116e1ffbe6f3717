/* One pass over the pattern, by recursive descent to a fixed depth; each alternative becomes a
 * group of GBNF. */
#include "infer/pattern.h"

#include "base/check.h"
#include "text/utf8.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TOP = 0x10FFFF, MOST_RANGES = 256, MOST_DEPTH = 64, MOST_TIMES = 1 << 20 };

typedef struct span {
    uint32_t low, high;
} span;

typedef struct set {
    span spans[MOST_RANGES];
    int count;
} set;

typedef struct reader {
    const uint8_t *at, *end;
    qn_str *out;
    int depth;
} reader;

static int peek(const reader *r)
{
    return r->at < r->end ? *r->at : -1;
}

static bool take(reader *r, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0) return false;
    r->at += length;
    return true;
}

/* ---- sets of characters ---- */

static qn_status set_add(set *s, uint32_t low, uint32_t high)
{
    if (s->count == MOST_RANGES)
        return qn__fail(QN_UNSUPPORTED, "a class of more than %d ranges", MOST_RANGES);
    s->spans[s->count++] = (span){low, high};
    return QN_OK;
}

static int by_low(const void *a, const void *b)
{
    const span *x = a, *y = b;
    return x->low < y->low ? -1 : x->low > y->low;
}

/* Adds the characters that are in none of `of`. */
static qn_status set_add_others(set *s, set *of)
{
    uint32_t next = 0;
    qsort(of->spans, (size_t)of->count, sizeof *of->spans, by_low);
    for (int i = 0; i < of->count; i++) {
        if (of->spans[i].low > next) QN_TRY(set_add(s, next, of->spans[i].low - 1));
        if (of->spans[i].high >= next) next = of->spans[i].high + 1;
    }
    return next <= TOP ? set_add(s, next, TOP) : QN_OK;
}

/* \d \w \s as ECMA-262 has them, and \D \W \S. */
static qn_status set_add_named(set *s, char letter)
{
    static const span digits[] = {{'0', '9'}};
    static const span words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    static const span spaces[] = {
        {9, 13},          {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
        {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
    const span *from = digits;
    size_t count = 1;
    set listed = {.count = 0};
    if (letter == 'w' || letter == 'W') from = words, count = sizeof words / sizeof *words;
    if (letter == 's' || letter == 'S') from = spaces, count = sizeof spaces / sizeof *spaces;
    bool others = letter < 'a';
    for (size_t i = 0; i < count; i++)
        QN_TRY(set_add(others ? &listed : s, from[i].low, from[i].high));
    return others ? set_add_others(s, &listed) : QN_OK;
}

/* ---- one set as GBNF ---- */

static bool set_has(const set *s, uint32_t code)
{
    for (int i = 0; i < s->count; i++)
        if (s->spans[i].low <= code && code <= s->spans[i].high) return true;
    return false;
}

/* The characters of a span that stand for themselves in a JSON string. */
static bool write_plain(qn_str *out, span s)
{
    static const span plain[] = {
        {0x20, 0x21}, {0x23, 0x5B}, {0x5D, 0x7E}, {0x80, 0xD7FF}, {0xE000, TOP}};
    bool any = false;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        uint32_t low = s.low > plain[i].low ? s.low : plain[i].low;
        uint32_t high = s.high < plain[i].high ? s.high : plain[i].high;
        if (low > high) continue;
        qn__str_add(out, "\\U%08X-\\U%08X", low, high);
        any = true;
    }
    return any;
}

static qn_status write_set(reader *r, const set *s)
{
    static const struct {
        uint32_t code;
        const char *written;
    } escapes[] = {{'"', "\\\\\\\""}, {'\\', "\\\\\\\\"}, {8, "\\\\b"}, {12, "\\\\f"},
                   {10, "\\\\n"},     {13, "\\\\r"},      {9, "\\\\t"}};
    qn_str class = {0};
    bool any = false;
    for (int i = 0; i < s->count; i++) any |= write_plain(&class, s->spans[i]);
    qn__str_add(r->out, any ? "( [%s]" : "( ", qn__str_text(&class));
    if (class.failed) r->out->failed = true;
    qn__str_free(&class);
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
        if (!set_has(s, escapes[i].code)) continue;
        qn__str_add(r->out, "%s\"%s\"", any ? " | " : "", escapes[i].written);
        any = true;
    }
    qn__str_add(r->out, " )");
    if (any) return QN_OK;
    return qn__fail(QN_UNSUPPORTED, "it has a class of no characters that are written in JSON");
}

/* ---- characters and escapes ---- */

static qn_status read_hex(reader *r, int digits, uint32_t *code)
{
    *code = 0;
    for (int i = 0; i < digits; i++, r->at++) {
        int c = peek(r), value = c >= '0' && c <= '9'   ? c - '0'
                                 : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                 : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                        : -1;
        if (value < 0) return qn__fail(QN_BAD_DATA, "\\x takes 2 hexadecimal digits, \\u 4");
        *code = *code << 4 | (uint32_t)value;
    }
    return QN_OK;
}

static qn_status read_unicode(reader *r, uint32_t *code)
{
    QN_TRY(read_hex(r, 4, code));
    if (*code >= 0xD800 && *code < 0xDC00 && take(r, "\\u")) {
        uint32_t second;
        QN_TRY(read_hex(r, 4, &second));
        if (second >= 0xDC00 && second < 0xE000) {
            *code = 0x10000 + ((*code - 0xD800) << 10) + (second - 0xDC00);
            return QN_OK;
        }
    }
    if (*code >= 0xD800 && *code < 0xE000)
        return qn__fail(QN_UNSUPPORTED, "\\u%04X is half of a pair, no character", (unsigned)*code);
    return QN_OK;
}

/* Behind a backslash: a character, or a set that is added (*named). */
static qn_status read_escape(reader *r, set *s, bool in_class, uint32_t *code, bool *named)
{
    static const char letters[] = "tnrvf0", means[] = "\t\n\r\v\f";
    int c = peek(r);
    *named = c > 0 && strchr("dDwWsS", c);
    if (c < 0) return qn__fail(QN_BAD_DATA, "it ends in a backslash");
    r->at++;
    if (*named) return set_add_named(s, (char)c);
    const char *letter = c ? strchr(letters, c) : NULL;
    *code = letter ? (uint32_t)means[letter - letters] : (uint32_t)c;
    if (letter && !(c == '0' && peek(r) >= '0' && peek(r) <= '9')) return QN_OK;
    if (c == 'x') return read_hex(r, 2, code);
    if (c == 'u') return read_unicode(r, code);
    if (c < 128 && ispunct(c)) return QN_OK;
    if (in_class && c == 'b') *code = 8;
    if (in_class && c == 'b') return QN_OK;
    return qn__fail(QN_UNSUPPORTED, "\\%c is not done", c >= ' ' && c < 127 ? c : '?');
}

static qn_status read_char(reader *r, uint32_t *code)
{
    size_t length = qn__utf8_decode(r->at, (size_t)(r->end - r->at), code);
    if (length == 0) return qn__fail(QN_BAD_DATA, "it is not valid UTF-8");
    r->at += length;
    return QN_OK;
}

/* Behind [. */
static qn_status read_class(reader *r)
{
    set s = {.count = 0}, all = {.count = 0};
    bool others = take(r, "^");
    while (!take(r, "]")) {
        uint32_t low, high;
        bool named = false, other_named = false;
        if (peek(r) < 0) return qn__fail(QN_BAD_DATA, "a class has no closing ]");
        if (take(r, "\\")) QN_TRY(read_escape(r, &s, true, &low, &named));
        else QN_TRY(read_char(r, &low));
        high = low;
        if (peek(r) == '-' && r->at + 1 < r->end && r->at[1] != ']') {
            r->at++;
            if (take(r, "\\")) QN_TRY(read_escape(r, &s, true, &high, &other_named));
            else QN_TRY(read_char(r, &high));
            if (named || other_named || high < low)
                return qn__fail(QN_BAD_DATA, "a class has a range that is none");
        }
        if (!named) QN_TRY(set_add(&s, low, high));
    }
    if (!others) return write_set(r, &s);
    QN_TRY(set_add_others(&all, &s));
    return write_set(r, &all);
}

/* ---- terms ---- */

static qn_status read_alternatives(reader *r, bool top);

/* Behind (. */
static qn_status read_group(reader *r)
{
    if (take(r, "?") && !take(r, ":")) {
        if (peek(r) != '<' || r->at + 1 == r->end || r->at[1] == '=' || r->at[1] == '!')
            return qn__fail(QN_UNSUPPORTED, "looking ahead or behind, (?...), is not done");
        while (peek(r) >= 0 && peek(r) != '>') r->at++;
        if (!take(r, ">")) return qn__fail(QN_BAD_DATA, "the name of a group has no closing >");
    }
    if (++r->depth > MOST_DEPTH)
        return qn__fail(QN_UNSUPPORTED, "more than %d groups within one another", MOST_DEPTH);
    QN_TRY(read_alternatives(r, false));
    r->depth--;
    return take(r, ")") ? QN_OK : qn__fail(QN_BAD_DATA, "a group has no closing )");
}

static qn_status read_times(reader *r, long *times)
{
    *times = 0;
    if (peek(r) < '0' || peek(r) > '9')
        return qn__fail(QN_BAD_DATA, "{ is not {m}, {m,} or {m,n}; \\{ is the character");
    for (; peek(r) >= '0' && peek(r) <= '9'; r->at++) {
        *times = *times * 10 + (peek(r) - '0');
        if (*times > MOST_TIMES)
            return qn__fail(QN_UNSUPPORTED, "a repetition of more than %d times", MOST_TIMES);
    }
    return QN_OK;
}

static qn_status read_repetition(reader *r)
{
    int c = peek(r);
    if (c != '*' && c != '+' && c != '?' && c != '{') return QN_OK;
    r->at++;
    if (c == '{') {
        long low, high = -1;
        QN_TRY(read_times(r, &low));
        qn__str_add(r->out, "{%ld", low);
        if (take(r, ",")) {
            qn__str_add(r->out, ",");
            if (peek(r) != '}') {
                QN_TRY(read_times(r, &high));
                if (high < low) return qn__fail(QN_BAD_DATA, "{m,n} with n below m");
                qn__str_add(r->out, "%ld", high);
            }
        }
        qn__str_add(r->out, "}");
        if (!take(r, "}")) return qn__fail(QN_BAD_DATA, "a repetition has no closing }");
    } else {
        qn__str_add(r->out, "%c", c);
    }
    take(r, "?"); /* lazy: the same texts */
    c = peek(r);
    if (c == '*' || c == '+' || c == '?' || c == '{')
        return qn__fail(QN_BAD_DATA, "there is nothing to repeat before %c", c);
    return QN_OK;
}

static qn_status read_term(reader *r)
{
    set s = {.count = 0}, line_ends = {{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}, 3};
    uint32_t code;
    bool named = false;
    int c = peek(r);
    qn__str_add(r->out, " ");
    if (c == '*' || c == '+' || c == '?' || c == '{')
        return qn__fail(QN_BAD_DATA, "there is nothing to repeat before %c", c);
    if (c == '^' || c == '$')
        return qn__fail(QN_UNSUPPORTED, "%c within the pattern is not done, only at its ends", c);
    if (c == ']' || c == '}')
        return qn__fail(QN_BAD_DATA, "%c closes nothing; \\%c is the character", c, c);
    if (take(r, "(")) {
        QN_TRY(read_group(r));
    } else if (take(r, "[")) {
        QN_TRY(read_class(r));
    } else {
        if (take(r, ".")) {
            QN_TRY(set_add_others(&s, &line_ends));
            named = true;
        } else if (take(r, "\\")) {
            QN_TRY(read_escape(r, &s, false, &code, &named));
        } else {
            QN_TRY(read_char(r, &code));
        }
        if (!named) QN_TRY(set_add(&s, code, code));
        QN_TRY(write_set(r, &s));
    }
    return read_repetition(r);
}

/* Alternatives of the whole pattern that are not held to an end may have any text there. */
static qn_status read_alternatives(reader *r, bool top)
{
    qn__str_add(r->out, "(");
    for (;;) {
        qn__str_add(r->out, top && !take(r, "^") ? " char*" : " \"\"");
        while (peek(r) >= 0 && peek(r) != '|' && peek(r) != ')') {
            bool last = r->at + 1 == r->end || r->at[1] == '|';
            if (top && peek(r) == '$' && last) break;
            QN_TRY(read_term(r));
        }
        if (top && !take(r, "$")) qn__str_add(r->out, " char*");
        if (!take(r, "|")) break;
        qn__str_add(r->out, " |");
    }
    if (top && peek(r) == ')') return qn__fail(QN_BAD_DATA, ") closes nothing");
    qn__str_add(r->out, " )");
    return QN_OK;
}

qn_status qn__pattern_add(qn_str *out, const char *pattern)
{
    const uint8_t *begin = (const uint8_t *)pattern;
    reader r = {.at = begin, .end = begin + strlen(pattern), .out = out};
    qn__str_add(out, "\"\\\"\" ");
    QN_TRY(read_alternatives(&r, true));
    qn__str_add(out, " \"\\\"\"");
    return QN_OK;
}
