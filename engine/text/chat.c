/* Conversations as stretches of text and marks, and as tokens. */
#include "text/chat.h"

#include "base/check.h"
#include "base/str.h"
#include "text/document.h"

#include <stdlib.h>
#include <string.h>

static const char *const roles[] = {[QN__SYSTEM] = "system",
                                    [QN__USER] = "user",
                                    [QN__ASSISTANT] = "assistant",
                                    [QN__TOOL] = "tool"};

int qn__chat_role(const char *name)
{
    for (int i = 0; i < (int)(sizeof roles / sizeof roles[0]); i++)
        if (strcmp(roles[i], name) == 0) return i;
    return -1;
}

/* Ordinary text is gathered until a mark comes or until what is learned changes: line feeds and
 * spaces of the template join those of the contents, as they do in a text that is encoded whole. */
typedef struct writer {
    qn__document *d;
    const qn__chat_family *family;
    qn_str text;
    bool learned;
} writer;

static qn_status flush(writer *w)
{
    if (w->text.failed) return qn__fail(QN_OS_ERROR, "no memory for a conversation");
    if (w->text.length == 0) return QN_OK;
    qn__document *d = w->d;
    QN__GROW(d->owned, &d->owned_capacity, d->owned_count + 1);
    char *text = w->text.data;
    size_t bytes = w->text.length;
    d->owned[d->owned_count++] = text;
    w->text = (qn_str){0};
    return qn__document_add(d, (qn__span){.text = text, .bytes = bytes, .learned = w->learned});
}

static qn_status set_learned(writer *w, bool learned)
{
    QN_TRY(flush(w));
    w->learned = learned;
    return QN_OK;
}

/* A piece of the family's table, see chat.h. */
static qn_status put_piece(writer *w, const char *piece)
{
    while (*piece) {
        size_t plain = strcspn(piece, "\1\2\3\4");
        qn__str_add_bytes(&w->text, piece, plain);
        piece += plain;
        char kind = *piece;
        if (!kind) break;
        QN_TRY(flush(w));
        qn__span span = {.text = "", .learned = w->learned};
        span.special = kind == 1;
        span.turn_end = kind == 2 || kind == 3;
        span.begin = kind == 4;
        piece++;
        if (kind <= 2) {
            span.text = piece;
            span.bytes = strcspn(piece, "\1\2");
            piece += span.bytes + 1;
        }
        QN_TRY(qn__document_add(w->d, span));
    }
    return QN_OK;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void put_content(writer *w, const qn_message *message)
{
    const char *text = message->content;
    size_t bytes = message->bytes;
    for (; w->family->trims && bytes && is_blank(text[0]); bytes--) text++;
    while (w->family->trims && bytes && is_blank(text[bytes - 1])) bytes--;
    if (bytes) qn__str_add_bytes(&w->text, text, bytes);
}

static qn_status put_answer(writer *w, const qn_message *message)
{
    QN_TRY(put_piece(w, w->family->reply));
    QN_TRY(set_learned(w, true));
    QN_TRY(put_piece(w, w->family->lead));
    put_content(w, message);
    QN_TRY(put_piece(w, w->family->end));
    return set_learned(w, false);
}

/* A turn of another role. `system`, if there is one, stands in it. */
static qn_status put_turn(writer *w, int role, const qn_message *message, const qn_message *system)
{
    const qn__chat_family *f = w->family;
    const char *const *round = role == QN__SYSTEM ? f->system
                               : role == QN__USER ? f->user
                                                  : f->tool;
    QN_CHECK(round[0], "the chat template \"%s\" has no role \"%s\"", f->name, roles[role]);
    QN_TRY(put_piece(w, round[0]));
    if (system) {
        QN_TRY(put_piece(w, f->system[0]));
        put_content(w, system);
        QN_TRY(put_piece(w, f->system[1]));
    }
    if (message) put_content(w, message);
    return put_piece(w, round[1]);
}

static qn_status put_between(writer *w, int before)
{
    if (before < 0) return QN_OK;
    QN_TRY(put_piece(w, w->family->between));
    return before == QN__ASSISTANT ? put_piece(w, w->family->again) : QN_OK;
}

/* A system's message that stands inside a turn waits for the user's; where none comes, one without
 * words is made. */
static qn_status put_all(writer *w, const qn_message *messages, size_t count, unsigned flags)
{
    const qn_message *waiting = NULL;
    int before = flags & QN__CHAT_FOLLOWS ? QN__ASSISTANT : -1;
    for (size_t i = 0; i < count; i++) {
        int role = qn__chat_role(messages[i].role);
        QN_CHECK(role >= 0, "message %zu: role \"%.40s\" is not system, user, assistant or tool",
                 i + 1, messages[i].role);
        bool inside = role == QN__SYSTEM && w->family->system_inside;
        if (waiting && (inside || role != QN__USER)) {
            QN_TRY(put_between(w, before));
            QN_TRY(put_turn(w, before = QN__USER, NULL, waiting));
            waiting = NULL;
        }
        if (inside) {
            waiting = &messages[i];
            continue;
        }
        QN_TRY(put_between(w, before));
        before = role;
        QN_TRY(role == QN__ASSISTANT ? put_answer(w, &messages[i])
                                     : put_turn(w, role, &messages[i], waiting));
        waiting = NULL;
    }
    if (waiting) {
        QN_TRY(put_between(w, before));
        QN_TRY(put_turn(w, before = QN__USER, NULL, waiting));
    }
    if (!(flags & QN__CHAT_REPLY)) return QN_OK;
    QN_TRY(put_between(w, before));
    return put_piece(w, w->family->reply);
}

qn_status qn__document_chat(qn__document *d, const qn__chat_family *family,
                            const qn_message *messages, size_t count, unsigned flags)
{
    writer w = {.d = d, .family = family};
    qn_status status = put_all(&w, messages, count, flags);
    if (status == QN_OK) status = flush(&w);
    qn__str_free(&w.text);
    return status;
}

static qn_status encode(const qn_tokenizer *tokenizer, qn__document *d, bool follows,
                        qn__marked *out)
{
    int32_t bos = qn_tokenizer_wants_bos(tokenizer) ? qn_tokenizer_bos(tokenizer) : -1;
    if (bos >= 0 && !follows) QN_TRY(qn__marked_add(out, &bos, 1, false));
    for (size_t i = 0; i < d->count; i++) {
        size_t at = 0;
        do QN_TRY(qn__document_encode(d, i, &at, tokenizer, out));
        while (at < d->span[i].bytes);
    }
    return QN_OK;
}

qn_status qn_chat_encode(const qn_tokenizer *tokenizer, const qn_chat_options *options,
                         const qn_message *messages, size_t count, int32_t **ids, uint8_t **learned,
                         size_t *tokens)
{
    static const qn_chat_options defaults = {.size = sizeof defaults};
    const qn_chat_options *o = options ? options : &defaults;
    const qn__chat_family *family = NULL;
    qn__document d = {0};
    qn__marked marked = {0};
    QN_CHECK(tokenizer && ids && tokens && (messages || count == 0),
             "qn_chat_encode: a pointer is NULL");
    QN_CHECK(o->size == sizeof *o, "qn_chat_options.size is %u, this library's is %zu", o->size,
             sizeof *o);
    *ids = NULL;
    *tokens = 0;
    if (learned) *learned = NULL;
    if (!o->template_name) family = tokenizer->chat;
    if (!family) QN_TRY(qn__chat_family_named(o->template_name, &family));
    unsigned flags = (o->reply ? QN__CHAT_REPLY : 0u) | (o->follows ? QN__CHAT_FOLLOWS : 0u);
    /* Text behind an earlier turn continues it: a span of nothing stands for that turn. */
    qn_status status = o->follows ? qn__document_add(&d, (qn__span){.text = ""}) : QN_OK;
    if (status == QN_OK) status = qn__document_chat(&d, family, messages, count, flags);
    if (status == QN_OK) status = encode(tokenizer, &d, o->follows, &marked);
    qn__document_free(&d);
    if (status == QN_OK) {
        *ids = marked.ids.data;
        *tokens = marked.ids.count;
        marked.ids.data = NULL;
        if (learned) {
            *learned = marked.learned;
            marked.learned = NULL;
        }
    }
    qn__marked_free(&marked);
    return status;
}

const char *qn_chat_template_at(size_t i)
{
    const qn__chat_family *family = qn__chat_family_at(i);
    return family ? family->name : NULL;
}

const char *qn_chat_template_recognise(const char *jinja, size_t bytes)
{
    const qn__chat_family *family = qn__chat_recognise(jinja, bytes);
    return family ? family->name : NULL;
}

const char *qn_tokenizer_chat_template(const qn_tokenizer *tokenizer)
{
    return tokenizer->chat ? tokenizer->chat->name : NULL;
}

const char *qn_chat_template_stop(const char *name)
{
    const qn__chat_family *family = NULL;
    return qn__chat_family_named(name, &family) == QN_OK ? family->stop : NULL;
}
