#include "text/document.h"

#include "base/check.h"
#include "text/chat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void qn__document_clear(qn__document *d)
{
    for (size_t i = 0; i < d->owned_count; i++) free(d->owned[i]);
    d->count = d->owned_count = 0;
    d->plain = d->end_learned = false;
}

qn_status qn__document_add(qn__document *d, qn__span span)
{
    QN__GROW(d->span, &d->capacity, d->count + 1);
    d->span[d->count++] = span;
    return QN_OK;
}

void qn__document_free(qn__document *d)
{
    qn__document_clear(d);
    free(d->span);
    free(d->owned);
    *d = (qn__document){0};
}

/* ---- JSON ---- */

typedef struct place {
    const char *path;
    uint64_t line;
    char part[40]; /* "message 2: ", or empty */
} place;

#define BAD(at, format, ...)                                                                       \
    qn__fail(QN_BAD_DATA, "%s:%" PRIu64 ": %s" format, (at)->path, (at)->line, (at)->part,         \
             __VA_ARGS__)

/* A key whose value is null counts as absent: tables written row by row have such. */
static const json_t *member(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static qn_status text_of(const json_t *object, const char *key, const place *at, const char **text,
                         size_t *bytes)
{
    const json_t *value = member(object, key);
    if (!value) return BAD(at, "\"%s\" is missing", key);
    if (!json_is_string(value)) return BAD(at, "\"%s\" is not a string", key);
    *text = json_string_value(value);
    *bytes = json_string_length(value);
    return QN_OK;
}

static qn_status from_text(qn__document *d, const json_t *root, const place *at)
{
    qn__span span = {.special = true, .learned = true};
    QN_TRY(text_of(root, "text", at, &span.text, &span.bytes));
    d->plain = d->end_learned = true;
    return qn__document_add(d, span);
}

static qn_status from_pair(qn__document *d, const json_t *root, const place *at)
{
    qn__span prompt = {.special = true}, completion = {.special = true, .learned = true};
    QN_TRY(text_of(root, "prompt", at, &prompt.text, &prompt.bytes));
    QN_TRY(text_of(root, "completion", at, &completion.text, &completion.bytes));
    if (completion.bytes == 0) return BAD(at, "\"%s\" is empty: nothing to learn", "completion");
    d->end_learned = true;
    QN_TRY(qn__document_add(d, prompt));
    return qn__document_add(d, completion);
}

static qn_status read_message(const json_t *one, const place *at, qn_message *message)
{
    size_t bytes;
    if (!json_is_object(one)) return BAD(at, "not an object with \"%s\" and \"content\"", "role");
    QN_TRY(text_of(one, "role", at, &message->role, &bytes));
    QN_TRY(text_of(one, "content", at, &message->content, &message->bytes));
    if (qn__chat_role(message->role) >= 0) return QN_OK;
    return BAD(at, "role \"%.40s\" is not system, user, assistant or tool", message->role);
}

static qn_status from_messages(qn__document *d, const json_t *root, const place *at)
{
    const json_t *list = member(root, "messages");
    size_t count = json_array_size(list);
    bool learns = false;
    if (!json_is_array(list) || count == 0)
        return BAD(at, "\"%s\" is not a list of messages", "messages");
    qn_message *messages = calloc(count, sizeof *messages);
    qn_status status = messages ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
    for (size_t i = 0; status == QN_OK && i < count; i++) {
        place one = *at;
        snprintf(one.part, sizeof one.part, "message %zu: ", i + 1);
        status = read_message(json_array_get(list, i), &one, &messages[i]);
        learns |= status == QN_OK && messages[i].bytes &&
                  qn__chat_role(messages[i].role) == QN__ASSISTANT;
    }
    if (status == QN_OK && !learns)
        status = BAD(at, "no message of role \"%s\" with a content: nothing to learn", "assistant");
    if (status == QN_OK)
        status =
            qn__document_chat(d, d->family ? d->family : qn__chat_family_at(0), messages, count, 0);
    free(messages);
    return status;
}

qn_status qn__document_json(qn__document *d, const json_t *root, const char *path, uint64_t line)
{
    const place at = {.path = path, .line = line};
    if (!json_is_object(root)) return BAD(&at, "not an object like {\"text\": \"...\"}%s", "");
    bool text = member(root, "text"), messages = member(root, "messages"),
         pair = member(root, "prompt") || member(root, "completion");
    if (text + messages + pair != 1)
        return BAD(&at,
                   "%s of \"text\", \"messages\" and \"prompt\" with \"completion\" is there: a "
                   "line needs exactly one",
                   text || messages || pair ? "more than one" : "none");
    if (text) return from_text(d, root, &at);
    return messages ? from_messages(d, root, &at) : from_pair(d, root, &at);
}

/* ---- tokens ---- */

qn_status qn__marked_add(qn__marked *m, const int32_t *ids, size_t count, bool learned)
{
    if (count == 0) return QN_OK;
    QN_TRY(qn__ids_reserve(&m->ids, count));
    QN__GROW(m->learned, &m->capacity, m->ids.count + count);
    memcpy(m->ids.data + m->ids.count, ids, count * sizeof *ids);
    memset(m->learned + m->ids.count, learned, count);
    m->ids.count += count;
    return QN_OK;
}

void qn__marked_free(qn__marked *m)
{
    free(m->ids.data);
    free(m->learned);
    *m = (qn__marked){0};
}

/* The control token of that name, or end of text; -1: neither. */
static int32_t turn_end_of(const qn_tokenizer *tokenizer, const qn__span *span)
{
    int32_t id = qn_tokenizer_find(tokenizer, span->text, span->bytes);
    if (span->bytes > 0 && id >= 0 && qn_tokenizer_is_control(tokenizer, id)) return id;
    return qn_tokenizer_eos(tokenizer);
}

/* How much of a text to encode at once. */
static size_t piece_of(const char *text, size_t bytes)
{
    enum { PIECE = 4 << 20 };
    size_t piece = bytes < PIECE ? bytes : PIECE;
    while (piece < bytes && piece > PIECE / 2 && text[piece - 1] != '\n') piece--;
    return piece;
}

qn_status qn__document_encode(const qn__document *d, size_t i, size_t *at,
                              const qn_tokenizer *tokenizer, qn__marked *out)
{
    qn__span span = d->span[i];
    bool starts = *at == 0 && (i == 0 || d->span[i - 1].begin);
    if (span.turn_end || span.begin) {
        int32_t id = span.turn_end                       ? turn_end_of(tokenizer, &span)
                     : qn_tokenizer_wants_bos(tokenizer) ? qn_tokenizer_bos(tokenizer)
                                                         : -1;
        *at = id >= 0 ? span.bytes : *at;
        if (id >= 0) return qn__marked_add(out, &id, 1, span.learned);
    }
    int32_t *ids;
    size_t count, piece = piece_of(span.text + *at, span.bytes - *at);
    unsigned flags = (span.special ? QN_ENCODE_SPECIAL : 0u) | (starts ? 0u : QN_ENCODE_GOES_ON);
    QN_TRY(qn_tokenizer_encode(tokenizer, span.text + *at, piece, flags, &ids, &count));
    qn_status status = qn__marked_add(out, ids, count, span.learned);
    free(ids);
    *at += piece;
    return status;
}
