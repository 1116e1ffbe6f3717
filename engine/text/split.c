#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/split.h"

#include "base/check.h"
#include "text/utf8.h"
#include "text/vocab.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

/* A pattern comes from a file that nobody checked: bound its size and the work of one match. */
enum { PATTERN_BYTES = 16384, MATCH_STEPS = 2000000 };

qn_status qn__splitter_add(qn__splitter *splitter, const char *pattern)
{
    size_t length = strlen(pattern), at;
    int error;
    unsigned char reason[128] = "";
    if (splitter->stages == QN__SPLIT_STAGES)
        return qn__fail(QN_UNSUPPORTED, "pre-tokenizer: more than %d stages", QN__SPLIT_STAGES);
    if (length > PATTERN_BYTES)
        return qn__fail(QN_UNSUPPORTED, "pre-tokenizer: a pattern of %zu bytes", length);
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, length, options, &error, &at, NULL);
    if (!code) {
        pcre2_get_error_message(error, reason, sizeof reason);
        return qn__fail(QN_UNSUPPORTED, "pre-tokenizer: %s at byte %zu of %.100s", (char *)reason,
                        at, pattern);
    }
    char *copy = strdup(pattern);
    if (!copy) {
        pcre2_code_free(code);
        return qn__fail(QN_OS_ERROR, "pre-tokenizer: out of memory");
    }
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* where it fails matching is slower */
    splitter->pattern[splitter->stages] = copy;
    splitter->code[splitter->stages++] = code;
    return QN_OK;
}

void qn__splitter_free(qn__splitter *splitter)
{
    for (size_t i = 0; i < splitter->stages; i++) {
        free(splitter->pattern[i]);
        pcre2_code_free(splitter->code[i]);
    }
    *splitter = (qn__splitter){0};
}

void qn__ends_free(qn__ends *ends)
{
    free(ends->data);
    *ends = (qn__ends){0};
}

static qn_status add_end(qn__ends *ends, size_t end)
{
    if (ends->count && ends->data[ends->count - 1] == end) return QN_OK;
    QN__GROW(ends->data, &ends->capacity, ends->count + 1);
    ends->data[ends->count++] = (uint32_t)end;
    return QN_OK;
}

typedef struct matcher {
    const pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
} matcher;

/* The text was checked piece by piece, so PCRE2 need not check the rest of it at every match, which
 * would take quadratic time. A piece that overflows the just-in-time stack goes the slow way. */
static int match(const matcher *m, const uint8_t *text, size_t bytes, size_t from)
{
    int found = pcre2_match(m->code, text, bytes, from, PCRE2_NO_UTF_CHECK, m->data, m->context);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)
        found = pcre2_match(m->code, text, bytes, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, m->data,
                            m->context);
    return found;
}

/* Cut one piece [0, bytes) of valid UTF-8 whose first byte lies at `base` of the text. A match of
 * nothing cuts nothing and moves on by one character. */
static qn_status cut_piece(const matcher *m, const uint8_t *text, size_t bytes, size_t base,
                           qn__ends *ends)
{
    size_t at = 0;
    while (at < bytes) {
        int found = match(m, text, bytes, at);
        if (found == PCRE2_ERROR_NOMATCH) break;
        if (found < 0)
            return qn__fail(QN_BAD_DATA, "pre-tokenizer: a pattern gives up at byte %zu (PCRE2 "
                            "error %d)", base + at, found);
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(m->data);
        if (span[1] <= span[0] || span[0] < at) {
            at = span[0] > at ? span[0] : at;
            size_t step = at < bytes ? qn__utf8_decode(text + at, bytes - at, NULL) : 1;
            at += step ? step : 1;
            continue;
        }
        if (span[0] > 0) QN_TRY(add_end(ends, base + span[0]));
        QN_TRY(add_end(ends, base + span[1]));
        at = span[1];
    }
    return add_end(ends, base + bytes);
}

static qn_status run_stage(const matcher *m, const uint8_t *text, const qn__ends *from,
                           qn__ends *to)
{
    size_t start = 0;
    to->count = 0;
    for (size_t i = 0; i < from->count; i++) {
        size_t end = from->data[i];
        if (qn__utf8_decode(text + start, end - start, NULL) > 0)
            QN_TRY(cut_piece(m, text + start, end - start, start, to));
        else
            QN_TRY(add_end(to, end));
        start = end;
    }
    return QN_OK;
}

static qn_status run_stages(const qn__splitter *splitter, const uint8_t *text, matcher *m,
                            qn__ends *ends, qn__ends *spare)
{
    for (size_t stage = 0; stage < splitter->stages; stage++) {
        m->code = splitter->code[stage];
        QN_TRY(run_stage(m, text, ends, spare));
        qn__ends swap = *ends;
        *ends = *spare;
        *spare = swap;
    }
    return QN_OK;
}

qn_status qn__split(const qn__splitter *splitter, const uint8_t *text, size_t bytes, qn__ends *ends,
                    qn__ends *spare)
{
    ends->count = 0;
    if (bytes == 0) return QN_OK;
    if (splitter->stages == 0) return add_end(ends, bytes);
    for (size_t at = 0; at < bytes;) {
        bool valid;
        at += qn__utf8_run(text + at, bytes - at, &valid);
        QN_TRY(add_end(ends, at));
    }
    matcher m = {.data = pcre2_match_data_create(1, NULL),
                 .context = pcre2_match_context_create(NULL)};
    qn_status status;
    if (m.data && m.context) {
        pcre2_set_match_limit(m.context, MATCH_STEPS);
        status = run_stages(splitter, text, &m, ends, spare);
    } else {
        status = qn__fail(QN_OS_ERROR, "pre-tokenizer: out of memory");
    }
    pcre2_match_data_free(m.data);
    pcre2_match_context_free(m.context);
    return status;
}
