/* Devlin et al., "BERT: pre-training of deep bidirectional transformers for language
 * understanding", 2019, as the `tokenizers` package does it. */
#include "text/fold.h"

#include "base/check.h"
#include "text/utf8.h"

#include <string.h>

typedef struct qn__range {
    uint32_t first, last;
} qn__range;

/* first, first + step, ..., last: add delta. */
typedef struct qn__lower {
    uint32_t first, last, step;
    int32_t delta;
} qn__lower;

/* A character and what is left of its decomposition, ended by 0. */
typedef uint32_t qn__strip[5];

#include "text/fold.inc"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

enum { HANGUL = 0xAC00, HANGUL_LAST = 0xD7A3, VOWELS = 21, TAILS = 28, MOST = 4 };

/* The rows of a table begin with their first character; the last row that is not beyond `code`. */
static const void *row_of(const void *table, size_t rows, size_t row_bytes, uint32_t code)
{
    const uint8_t *bytes = table;
    size_t low = 0, high = rows; /* the first row beyond `code` is in [low, high] */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint32_t first;
        memcpy(&first, bytes + middle * row_bytes, sizeof first);
        if (first <= code) low = middle + 1;
        else high = middle;
    }
    return low ? bytes + (low - 1) * row_bytes : NULL;
}

static bool is_in(const qn__range *ranges, size_t count, uint32_t code)
{
    const qn__range *row = row_of(ranges, count, sizeof *ranges, code);
    return row && code <= row->last;
}

static uint32_t lower(uint32_t code)
{
    const qn__lower *row = row_of(lowers, COUNT(lowers), sizeof *lowers, code);
    bool found = row && code <= row->last && (code - row->first) % row->step == 0;
    return found ? code + (uint32_t)row->delta : code;
}

/* Unicode 15, section 3.12. */
static size_t strip_hangul(uint32_t code, uint32_t out[MOST])
{
    uint32_t index = code - HANGUL, tail = index % TAILS;
    out[0] = 0x1100 + index / (VOWELS * TAILS);
    out[1] = 0x1161 + index % (VOWELS * TAILS) / TAILS;
    out[2] = 0x11A7 + tail;
    return tail ? 3 : 2;
}

static size_t strip(uint32_t code, uint32_t out[MOST])
{
    size_t count = 0;
    if (code >= HANGUL && code <= HANGUL_LAST) return strip_hangul(code, out);
    const uint32_t *row = row_of(strips, COUNT(strips), sizeof *strips, code);
    if (row && row[0] == code) {
        for (; count < MOST && row[1 + count]; count++) out[count] = row[1 + count];
        return count;
    }
    out[0] = code;
    return !is_in(marks, COUNT(marks), code);
}

/* What becomes of one character: 0 to 4 others. */
static size_t fold(uint32_t code, unsigned flags, uint32_t out[MOST])
{
    size_t count = 1;
    out[0] = code;
    if (code >= 0x80 && (flags & QN__FOLD_MARKS)) count = strip(code, out);
    if (!(flags & QN__FOLD_LOWER)) return count;
    if (count == 1 && out[0] == 0x130) { /* the one that becomes two */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    for (size_t i = 0; i < count; i++) out[i] = lower(out[i]);
    return count;
}

bool qn__is_space(uint32_t code)
{
    return code == ' ' || (code >= '\t' && code <= '\r') || code == 0x85 || code == 0xA0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

static bool is_punctuation(uint32_t code)
{
    if (code < 0x80)
        return (code > ' ' && code < '0') || (code > '9' && code < 'A') ||
               (code > 'Z' && code < 'a') || (code > 'z' && code < 0x7F);
    return is_in(punctuation, COUNT(punctuation), code);
}

/* The blocks that BERT's authors list. */
static bool is_chinese(uint32_t code)
{
    static const qn__range blocks[] = {{0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},
                                       {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F},
                                       {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};
    return code >= 0x3400 && is_in(blocks, COUNT(blocks), code);
}

static bool is_dropped(uint32_t code)
{
    if (code >= ' ' && code < 0x7F) return false;
    if (code == '\t' || code == '\n' || code == '\r') return false;
    return code == 0xFFFD || is_in(others, COUNT(others), code);
}

typedef struct folder {
    uint8_t *out;
    size_t start, to; /* of the word at hand; its space is not there yet when start == to */
    qn__fold_fn fn;
    void *context;
} folder;

static qn_status end_word(folder *f)
{
    if (f->to == f->start) return QN_OK;
    size_t start = f->start;
    f->start = f->to;
    return f->fn(f->context, f->out + start, f->to - start);
}

static void add_code(folder *f, uint32_t code)
{
    if (f->to == f->start) f->out[f->to++] = ' ';
    f->to += qn__utf8_encode(code, (char *)f->out + f->to);
}

static qn_status add_folded(folder *f, uint32_t code, bool alone)
{
    if (qn__is_space(code)) return end_word(f);
    alone = alone || is_punctuation(code);
    if (alone) QN_TRY(end_word(f));
    add_code(f, code);
    return alone ? end_word(f) : QN_OK;
}

qn_status qn__fold_words(const uint8_t *text, size_t bytes, unsigned flags, uint8_t *out,
                         size_t *used, qn__fold_fn fn, void *context)
{
    folder f = {.out = out, .start = *used, .to = *used, .fn = fn, .context = context};
    for (size_t at = 0, length; at < bytes; at += length) {
        uint32_t code = 0, parts[MOST];
        length = qn__utf8_decode(text + at, bytes - at, &code);
        if (length == 0) {
            length = 1;
            code = 0xFFFD;
        }
        if ((flags & QN__FOLD_CLEAN) && is_dropped(code)) continue;
        bool alone = (flags & QN__FOLD_CHINESE) && is_chinese(code);
        size_t count = fold(code, flags, parts);
        for (size_t i = 0; i < count; i++) QN_TRY(add_folded(&f, parts[i], alone));
    }
    QN_TRY(end_word(&f));
    *used = f.to;
    return QN_OK;
}
