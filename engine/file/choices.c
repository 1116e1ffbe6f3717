#include "file/choices.h"

#include "base/check.h"
#include "file/writer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_WORDS = 256, HEADER_BYTES = HEADER_WORDS * 4, MAGIC = 20240522, VERSION = 1 };
enum { START = 65535, QUESTION_WORDS = 6, LEAST_WORDS = QUESTION_WORDS + 1 + 2 * 2 };

/* ---- in memory ---- */

qn_status qn__choices_create(qn_choices **choices)
{
    *choices = calloc(1, sizeof **choices);
    return *choices ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
}

void qn_choices_destroy(qn_choices **choices)
{
    qn_choices *old = *choices;
    if (!old) return;
    free(old->questions);
    free(old->spans);
    free(old->tokens);
    free(old);
    *choices = NULL;
}

int64_t qn_choices_count(const qn_choices *choices)
{
    return (int64_t)choices->count;
}

/* Room for `more` elements behind the `count` that are there. */
static qn_status grow(void **array, size_t count, size_t more, size_t *capacity, size_t bytes)
{
    if (more <= *capacity - count) return QN_OK;
    if (more > SIZE_MAX / 4 / bytes - count) return qn__fail(QN_OS_ERROR, "out of memory");
    size_t wanted = (count + more) * 2;
    void *larger = realloc(*array, wanted * bytes);
    if (!larger) return qn__fail(QN_OS_ERROR, "out of memory");
    *array = larger;
    *capacity = wanted;
    return QN_OK;
}

qn_status qn__choices_add(qn_choices *c, int32_t label, int32_t endings)
{
    QN_CHECK(endings >= 2 && endings <= QN_MAX_ENDINGS, "%d endings; a question has 2 to %d",
             endings, QN_MAX_ENDINGS);
    QN_CHECK(label >= 0 && label < endings, "the right ending is number %d of %d (from 0)", label,
             endings);
    QN_TRY(grow((void **)&c->questions, c->count, 1, &c->capacity, sizeof *c->questions));
    c->questions[c->count++] =
        (qn_question){.label = label, .endings = endings, .spans = c->span_count};
    return QN_OK;
}

qn_status qn__choices_add_span(qn_choices *c, const int32_t *tokens, size_t count)
{
    QN_CHECK(count >= 1 && count <= INT32_MAX, "%zu tokens; at least one is needed", count);
    QN_TRY(grow((void **)&c->spans, c->span_count, 1, &c->span_capacity, sizeof *c->spans));
    QN_TRY(grow((void **)&c->tokens, c->token_count, count, &c->token_capacity, sizeof *c->tokens));
    memcpy(c->tokens + c->token_count, tokens, count * sizeof *tokens);
    c->spans[c->span_count++] = (qn_span){.first = c->token_count, .count = (int32_t)count};
    c->token_count += count;
    return QN_OK;
}

/* ---- reading ---- */

typedef struct reader {
    const uint8_t *data;
    size_t at, bytes; /* in 16-bit words */
    const char *origin;
    int64_t index; /* of the question */
    int32_t scratch[65536];
} reader;

bool qn__choices_looks_like(const void *bytes, size_t count)
{
    int32_t magic;
    if (count < sizeof magic) return false;
    memcpy(&magic, bytes, sizeof magic);
    return magic == MAGIC;
}

static qn_status truncated(const reader *r)
{
    return qn__fail(QN_BAD_DATA, "%s: question %" PRId64 " is cut short: the file is truncated",
                    r->origin, r->index);
}

static uint16_t word(reader *r)
{
    uint16_t value;
    memcpy(&value, r->data + r->at * 2, sizeof value);
    r->at++;
    return value;
}

/* Tokens' number and the tokens. */
static qn_status read_span(reader *r, const char *what, qn_choices *choices)
{
    if (r->at >= r->bytes) return truncated(r);
    size_t count = word(r);
    if (count == 0)
        return qn__fail(QN_BAD_DATA, "%s: question %" PRId64 ": %s has no token", r->origin,
                        r->index, what);
    if (count > r->bytes - r->at) return truncated(r);
    for (size_t i = 0; i < count; i++) {
        r->scratch[i] = word(r);
        if (r->scratch[i] == START)
            return qn__fail(QN_BAD_DATA,
                            "%s: question %" PRId64 ": %s has the token 65535, which begins a "
                            "question",
                            r->origin, r->index, what);
    }
    return qn__choices_add_span(choices, r->scratch, count);
}

static qn_status read_question(reader *r, int32_t longest, qn_choices *choices)
{
    const size_t begin = r->at;
    if (r->bytes - r->at < LEAST_WORDS) return truncated(r);
    uint16_t start = word(r), bytes = word(r), index = word(r), label = word(r), endings = word(r);
    if (start != START)
        return qn__fail(QN_BAD_DATA, "%s: question %" PRId64 " begins with %u, not with 65535",
                        r->origin, r->index, start);
    if (index != (uint16_t)r->index)
        return qn__fail(QN_BAD_DATA, "%s: question %" PRId64 " says that it is number %u",
                        r->origin, r->index, index);
    if (endings < 2 || endings > QN_MAX_ENDINGS || label >= endings)
        return qn__fail(QN_BAD_DATA,
                        "%s: question %" PRId64 ": the right ending is number %u (from 0) of %u; "
                        "there are 2 to %d",
                        r->origin, r->index, label, endings, QN_MAX_ENDINGS);
    if (bytes > longest)
        return qn__fail(QN_BAD_DATA,
                        "%s: question %" PRId64 " has %u bytes, the longest is said to have %d",
                        r->origin, r->index, bytes, longest);
    QN_TRY(qn__choices_add(choices, label, endings));
    QN_TRY(read_span(r, "the context", choices));
    for (int i = 0; i < endings; i++) QN_TRY(read_span(r, "an ending", choices));
    if ((r->at - begin) * 2 != bytes)
        return qn__fail(QN_BAD_DATA, "%s: question %" PRId64 " has %zu bytes, and says %u",
                        r->origin, r->index, (r->at - begin) * 2, bytes);
    return QN_OK;
}

static qn_status read_all(reader *r, const int32_t *header, size_t rest, qn_choices *choices)
{
    if (header[1] != VERSION)
        return qn__fail(QN_BAD_DATA, "%s: an evaluation file of version %d, not %d", r->origin,
                        header[1], VERSION);
    if (rest % 2 != 0)
        return qn__fail(QN_BAD_DATA, "%s: %zu bytes follow the header: half a token", r->origin,
                        rest);
    r->bytes = rest / 2;
    if (header[2] < 1 || (size_t)header[2] > r->bytes / LEAST_WORDS)
        return qn__fail(QN_BAD_DATA, "%s: %d questions in the %zu bytes after the header",
                        r->origin, header[2], rest);
    for (; r->index < header[2]; r->index++) QN_TRY(read_question(r, header[3], choices));
    if (r->at != r->bytes)
        return qn__fail(QN_BAD_DATA, "%s: %zu bytes follow the last of %d questions", r->origin,
                        (r->bytes - r->at) * 2, header[2]);
    return QN_OK;
}

qn_status qn__choices_parse(const void *bytes, size_t count, const char *origin,
                            qn_choices **choices)
{
    int32_t header[4];
    *choices = NULL;
    if (count < HEADER_BYTES || !qn__choices_looks_like(bytes, count))
        return qn__fail(QN_BAD_DATA,
                        "%s: not an evaluation file of llm.c: a header of %d bytes that begins "
                        "with %d is missing",
                        origin, HEADER_BYTES, MAGIC);
    memcpy(header, bytes, sizeof header);
    reader *r = calloc(1, sizeof *r);
    if (!r) return qn__fail(QN_OS_ERROR, "%s: out of memory", origin);
    r->data = (const uint8_t *)bytes + HEADER_BYTES;
    r->origin = origin;
    qn_status status = qn__choices_create(choices);
    if (status == QN_OK) status = read_all(r, header, count - HEADER_BYTES, *choices);
    free(r);
    if (status != QN_OK) qn_choices_destroy(choices);
    return status;
}

/* ---- writing ---- */

static qn_status put_span(const qn_choices *c, const qn_span *span, const char *path, size_t index,
                          uint16_t *words, size_t *at)
{
    QN_CHECK(span->count < 32767 - (int32_t)*at,
             "question %zu is longer than the 65,534 bytes that %s can hold", index, path);
    words[(*at)++] = (uint16_t)span->count;
    for (int32_t i = 0; i < span->count; i++) {
        int32_t token = c->tokens[span->first + (size_t)i];
        QN_CHECK(token >= 0 && token < START,
                 "question %zu has token %d: %s holds 16 bits a token, for vocabularies up to "
                 "65,535",
                 index, token, path);
        words[(*at)++] = (uint16_t)token;
    }
    return QN_OK;
}

static qn_status write_question(const qn_choices *c, size_t index, qn_writer *writer,
                                int32_t *longest)
{
    uint16_t words[32768 + 2];
    const qn_question *q = &c->questions[index];
    size_t at = QUESTION_WORDS - 1;
    words[0] = START;
    words[2] = (uint16_t)index;
    words[3] = (uint16_t)q->label;
    words[4] = (uint16_t)q->endings;
    for (int i = 0; i <= q->endings; i++)
        QN_TRY(put_span(c, &c->spans[q->spans + (size_t)i], qn__writer_path(writer), index, words,
                        &at));
    words[1] = (uint16_t)(at * 2);
    if ((int32_t)(at * 2) > *longest) *longest = (int32_t)(at * 2);
    return qn__writer_add(writer, words, at * 2);
}

qn_status qn_choices_save(const qn_choices *c, const char *path)
{
    int32_t header[HEADER_WORDS] = {MAGIC, VERSION, (int32_t)c->count};
    qn_writer *writer = NULL;
    QN_CHECK(c->count >= 1 && c->count <= 65536, "%zu questions; %s holds 1 to 65,536", c->count,
             path);
    QN_TRY(qn__writer_create(path, &writer));
    qn_status status = qn__writer_add(writer, header, sizeof header);
    for (size_t i = 0; status == QN_OK && i < c->count; i++)
        status = write_question(c, i, writer, &header[3]);
    if (status == QN_OK) status = qn__writer_patch(writer, 0, header, sizeof header);
    if (status == QN_OK) return qn__writer_finish(&writer);
    qn__writer_destroy(&writer);
    return status;
}
