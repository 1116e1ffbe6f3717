/* Multiple-choice questions from lines of JSON, tokenized; and which kind of file it is. */
#include "base/check.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/str.h"
#include "file/choices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct encoded {
    int32_t *ids;
    size_t count;
} encoded;

static const char blanks[] = " \t\r\n";

static qn_status encode(const qn_tokenizer *tokenizer, const char *text, size_t bytes,
                        encoded *made)
{
    free(made->ids);
    *made = (encoded){0};
    unsigned flags = qn_tokenizer_wants_bos(tokenizer) || bytes == 0 ? QN_ENCODE_BOS : 0u;
    return qn_tokenizer_encode(tokenizer, text, bytes, flags, &made->ids, &made->count);
}

/* Tokens of context and ending together, as the model would meet them; what comes behind the
 * context's own tokens is the ending. A tokenizer that joins across their border is asked for the
 * ending alone, with the space before it. */
static qn_status add_ending(const qn_tokenizer *tokenizer, const char *ctx, size_t ctx_bytes,
                            const char *ending, const encoded *context, qn_choices *choices)
{
    qn_str joined = {0};
    encoded both = {0};
    ending += strspn(ending, blanks);
    QN_CHECK(*ending, "an ending is empty");
    qn__str_add_bytes(&joined, ctx, ctx_bytes);
    if (ctx_bytes) qn__str_add(&joined, " ");
    qn__str_add(&joined, "%s", ending);
    qn_status status = joined.failed ? qn__fail(QN_OS_ERROR, "out of memory")
                                     : encode(tokenizer, joined.data, joined.length, &both);
    bool begins = status == QN_OK && both.count > context->count &&
                  memcmp(both.ids, context->ids, context->count * sizeof *both.ids) == 0;
    if (begins)
        status =
            qn__choices_add_span(choices, both.ids + context->count, both.count - context->count);
    else if (status == QN_OK) {
        free(both.ids);
        both = (encoded){0};
        status = qn_tokenizer_encode(tokenizer, joined.data + ctx_bytes, joined.length - ctx_bytes,
                                     0, &both.ids, &both.count);
        if (status == QN_OK) status = qn__choices_add_span(choices, both.ids, both.count);
    }
    qn__str_free(&joined);
    free(both.ids);
    return status;
}

/* A number, or the number as text, which some data sets have. */
static qn_status read_label(const json_t *object, int64_t *label)
{
    const json_t *value = json_object_get(object, "label");
    char *end = NULL;
    if (json_is_integer(value)) {
        *label = json_integer_value(value);
        return QN_OK;
    }
    const char *text = json_string_value(value);
    errno = 0;
    if (text) *label = strtoll(text, &end, 10);
    QN_CHECK(text && end != text && *end == 0 && errno == 0, "\"label\" is not a whole number");
    return QN_OK;
}

static qn_status add_question(const qn_tokenizer *tokenizer, const json_t *object,
                              qn_choices *choices)
{
    const char *ctx = json_string_value(json_object_get(object, "ctx"));
    const json_t *endings = json_object_get(object, "endings");
    size_t count = json_array_size(endings);
    int64_t label = -1;
    encoded context = {0};
    QN_CHECK(ctx != NULL, "\"ctx\" is not text");
    QN_CHECK(json_is_array(endings), "\"endings\" is not a list of texts");
    QN_TRY(read_label(object, &label));
    QN_CHECK(label >= 0 && label < (int64_t)count && count <= QN_MAX_ENDINGS,
             "\"label\" is %lld, with %zu endings", (long long)label, count);
    QN_TRY(qn__choices_add(choices, (int32_t)label, (int32_t)count));
    size_t bytes = strlen(ctx);
    while (bytes > 0 && strchr(blanks, ctx[bytes - 1])) bytes--;
    qn_status status = encode(tokenizer, ctx, bytes, &context);
    if (status == QN_OK && context.count == 0)
        status = qn__fail(QN_BAD_ARGUMENT,
                          "\"ctx\" is empty, and this tokenizer has no token that begins a text");
    if (status == QN_OK) status = qn__choices_add_span(choices, context.ids, context.count);
    for (size_t i = 0; status == QN_OK && i < count; i++) {
        const char *ending = json_string_value(json_array_get(endings, i));
        status = ending ? add_ending(tokenizer, ctx, bytes, ending, &context, choices)
                        : qn__fail(QN_BAD_ARGUMENT, "\"endings\" has something that is not text");
    }
    free(context.ids);
    return status;
}

static bool blank(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (!strchr(blanks, text[i]) || !text[i]) return false;
    return true;
}

static qn_status add_line(const qn_tokenizer *tokenizer, const char *text, size_t bytes,
                          qn_choices *choices)
{
    json_error_t error;
    if (blank(text, bytes)) return QN_OK;
    json_t *object = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    qn_status status = json_is_object(object)
                           ? add_question(tokenizer, object, choices)
                           : qn__fail(QN_BAD_ARGUMENT, "not a JSON object%s%s", object ? "" : ": ",
                                      object ? "" : error.text);
    json_decref(object);
    return status;
}

static qn_status from_lines(const qn_map *map, const qn_tokenizer *tokenizer, qn_choices *choices)
{
    const char *text = (const char *)map->data;
    size_t line = 1;
    for (size_t at = 0; at < map->bytes; line++) {
        const char *end = memchr(text + at, '\n', map->bytes - at);
        size_t bytes = end ? (size_t)(end - text) - at : map->bytes - at;
        qn_status status = add_line(tokenizer, text + at, bytes, choices);
        if (status != QN_OK)
            return qn__wrap(status == QN_BAD_ARGUMENT ? QN_BAD_DATA : status,
                            "%s, line %zu: ", map->path, line);
        at += bytes + 1;
    }
    if (choices->count > 0) return QN_OK;
    return qn__fail(QN_BAD_DATA, "%s has no question in it", map->path);
}

qn_status qn_choices_load(const char *path, const qn_tokenizer *tokenizer, qn_choices **choices)
{
    qn_map map;
    *choices = NULL;
    QN_TRY(qn__map_open(path, &map));
    qn_status status = QN_OK;
    if (qn__choices_looks_like(map.data, map.bytes))
        status = qn__choices_parse(map.data, map.bytes, path, choices);
    else if (!tokenizer)
        status = qn__fail(QN_BAD_ARGUMENT,
                          "%s is not an evaluation file of llm.c; as lines of JSON it needs a "
                          "tokenizer",
                          path);
    else {
        status = qn__choices_create(choices);
        if (status == QN_OK) status = from_lines(&map, tokenizer, *choices);
        if (status != QN_OK) qn_choices_destroy(choices);
    }
    qn__map_close(&map);
    return status;
}
